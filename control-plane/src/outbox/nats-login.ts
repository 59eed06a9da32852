import { jwtAuthenticator, nkeyAuthenticator, nkeys, type Authenticator } from '@nats-io/transport-node'
import { DeliveryError } from './sink.ts'

export interface NatsLogin {
  /** The text of a .creds file: the JWT of a user and the seed of its key, between lines of dashes. */
  readonly credentials: string | null
  /** The seed of an NKey, `SU...`. */
  readonly nkey: string | null
}

/** The text of each block. White space around it is lost on the way through variables and editors. */
const block = /-{3,}\s*BEGIN\b[^\n]*?-{3,}\s+(\S+)\s+-{3,}\s*END\b/g

/** Checked before the library gets it: an authenticator that throws leaves its connection waiting. */
const seedOf = (text: string, secret: string): Uint8Array => {
  const seed = new TextEncoder().encode(text)
  try {
    nkeys.fromSeed(seed)
  } catch {
    // The library's words may quote the seed.
    throw new DeliveryError(`NATS: the secret of ${secret} has no seed of an NKey`, { kind: 'retryable' })
  }
  return seed
}

/** Signs the server's challenge; null: it is not asked for. Throws a DeliveryError that shows nothing of the secret. */
export const natsAuthenticator = ({ credentials, nkey }: NatsLogin): Authenticator | null => {
  if (nkey !== null) return nkeyAuthenticator(seedOf(nkey, 'nkey'))
  if (credentials === null) return null
  const [jwt, seed, more] = [...credentials.matchAll(block)].map(([, text = '']) => text)
  if (jwt === undefined || seed === undefined || more !== undefined)
    throw new DeliveryError('NATS: the secret of credentials is no .creds file: a JWT and a seed', {
      kind: 'retryable',
    })
  return jwtAuthenticator(jwt, seedOf(seed, 'credentials'))
}
