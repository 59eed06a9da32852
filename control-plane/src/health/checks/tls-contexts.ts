import { isIP } from 'node:net'
import { createSecureContext, type ConnectionOptions, type SecureContext } from 'node:tls'
import type { CheckTls } from '@waymark/sidecar-config/model/check.ts'
import type { KeyPair } from '../../runtime/key-pair.ts'

/** The certificate with which checks answer servers that ask for one; `value` changes when its files do. */
export interface CheckIdentity {
  readonly value: KeyPair
}

/** The host of `host`, `host:port` or `[address]:port` if it is a name; SNI carries no addresses (RFC 6066, 3). */
const nameOf = (host: string | null): string | undefined => {
  const name = host?.replace(/:\d+$/, '')
  return name === undefined || name.startsWith('[') || isIP(name) !== 0 ? undefined : name
}

/** How checks use TLS. Reading certificates costs more than a probe: it is done once for each registered check. */
export class TlsContexts {
  readonly #identity: CheckIdentity | null
  readonly #contexts = new WeakMap<
    CheckTls,
    { readonly pair: KeyPair | null; readonly context: SecureContext }
  >()

  constructor(identity: CheckIdentity | null) {
    this.#identity = identity
  }

  /**
   * The certificate has to be for `serverName`, else for the name in `host`, else for the address that is connected
   * to. Throws when `ca` cannot be read, and when a client certificate is wanted and there is none.
   */
  optionsFor(tls: CheckTls, host: string | null): ConnectionOptions {
    // An empty name sends no SNI, and has the certificate compared with the address.
    const servername = tls.serverName ?? nameOf(host) ?? ''
    return { secureContext: this.#contextOf(tls), servername, rejectUnauthorized: !tls.skipVerify }
  }

  #contextOf(tls: CheckTls): SecureContext {
    const pair = tls.clientCertificate === true ? this.#pair() : null
    const known = this.#contexts.get(tls)
    if (known?.pair === pair) return known.context
    const context = createSecureContext({ ...(tls.ca === null ? {} : { ca: tls.ca }), ...pair })
    this.#contexts.set(tls, { pair, context })
    return context
  }

  #pair(): KeyPair {
    if (this.#identity !== null) return this.#identity.value
    throw new Error('the check wants a client certificate, and this replica has none: WAYMARK_CHECK_TLS_CERT')
  }
}
