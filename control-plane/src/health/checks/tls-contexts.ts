import { isIP } from 'node:net'
import { createSecureContext, type ConnectionOptions, type SecureContext } from 'node:tls'
import type { CheckTls } from '@waymark/sidecar-config/model/check.ts'

/** The host of `host`, `host:port` or `[address]:port` if it is a name; SNI carries no addresses (RFC 6066, 3). */
const nameOf = (host: string | null): string | undefined => {
  const name = host?.replace(/:\d+$/, '')
  return name === undefined || name.startsWith('[') || isIP(name) !== 0 ? undefined : name
}

/** How checks use TLS. Reading certificates costs more than a probe: it is done once for each registered check. */
export class TlsContexts {
  readonly #contexts = new WeakMap<CheckTls, SecureContext>()

  /**
   * The certificate has to be for `serverName`, else for the name in `host`, else for the address that is connected
   * to. Throws when `ca` cannot be read.
   */
  optionsFor(tls: CheckTls, host: string | null): ConnectionOptions {
    let secureContext = this.#contexts.get(tls)
    if (secureContext === undefined) {
      secureContext = createSecureContext(tls.ca === null ? {} : { ca: tls.ca })
      this.#contexts.set(tls, secureContext)
    }
    // An empty name sends no SNI, and has the certificate compared with the address.
    const servername = tls.serverName ?? nameOf(host) ?? ''
    return { secureContext, servername, rejectUnauthorized: !tls.skipVerify }
  }
}
