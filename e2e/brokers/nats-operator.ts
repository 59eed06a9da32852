import { jwtAuthenticator, nkeys, type Authenticator } from '@nats-io/transport-node'

type KeyPair = ReturnType<typeof nkeys.createUser>

interface NatsUser {
  /** The text of a .creds file, as the tools of NATS write it. */
  readonly credentials: string
  readonly authenticator: Authenticator
}

const encoder = new TextEncoder()
const decoder = new TextDecoder()
const base64url = (data: Uint8Array | string): string => Buffer.from(data).toString('base64url')

/** A claim as the servers of NATS take it: a JWT that is signed by the key of an operator or an account. */
const sign = (issuer: KeyPair, subject: KeyPair, nats: object): string => {
  const header = base64url(JSON.stringify({ typ: 'JWT', alg: 'ed25519-nkey' }))
  const claim = base64url(
    JSON.stringify({
      jti: subject.getPublicKey(),
      iat: Math.floor(Date.now() / 1_000),
      iss: issuer.getPublicKey(),
      sub: subject.getPublicKey(),
      name: 'test',
      nats: { version: 2, ...nats },
    }),
  )
  return `${header}.${claim}.${base64url(issuer.sign(encoder.encode(`${header}.${claim}`)))}`
}

const unlimited = {
  subs: -1,
  data: -1,
  payload: -1,
  imports: -1,
  exports: -1,
  wildcards: true,
  conn: -1,
  leaf: -1,
}
const storage = { mem_storage: -1, disk_storage: -1, streams: -1, consumer: -1 }

/** An operator with one account, whose users a server knows by nothing but the signatures below their JWTs. */
export class NatsOperator {
  readonly #operator = nkeys.createOperator()
  readonly #system = nkeys.createAccount()
  readonly #account = nkeys.createAccount()

  /** For the server's configuration file. */
  get settings(): string[] {
    const account = (key: KeyPair, limits: object): string =>
      `${key.getPublicKey()}: ${sign(this.#operator, key, { type: 'account', limits: { ...unlimited, ...limits } })}`
    return [
      `operator: ${sign(this.#operator, this.#operator, { type: 'operator' })}`,
      `system_account: ${this.#system.getPublicKey()}`,
      'resolver: MEMORY',
      `resolver_preload: { ${account(this.#system, {})}, ${account(this.#account, storage)} }`,
    ]
  }

  /** The only subjects that it may publish or subscribe to; absent: all. */
  user({
    publish,
    listen,
  }: { readonly publish?: readonly string[]; readonly listen?: readonly string[] } = {}): NatsUser {
    const user = nkeys.createUser()
    const jwt = sign(this.#account, user, {
      type: 'user',
      ...{ subs: -1, data: -1, payload: -1 },
      ...(publish === undefined ? {} : { pub: { allow: publish } }),
      ...(listen === undefined ? {} : { sub: { allow: listen } }),
    })
    const seed = user.getSeed()
    const credentials = [
      ...['-----BEGIN NATS USER JWT-----', jwt, '------END NATS USER JWT------', ''],
      ...['Whoever has the seed below is this user.', ''],
      ...['-----BEGIN USER NKEY SEED-----', decoder.decode(seed), '------END USER NKEY SEED------', ''],
    ].join('\n')
    return { credentials, authenticator: jwtAuthenticator(jwt, seed) }
  }
}
