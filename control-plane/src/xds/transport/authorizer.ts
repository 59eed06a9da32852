import { XdsRefusedError, type XdsPeer } from '../port.ts'
import type { TokenBook } from './authorizer-tokens.ts'

export interface AuthorizerOptions {
  /** The tokens that count at the moment; null: none do. */
  readonly tokens: () => TokenBook | null
  /** Client certificates count when their id is `spiffe://{trustDomain}/service/{service}`; null: none do. */
  readonly trustDomain: string | null
  /** ms since the epoch. */
  readonly now: () => number
}

const everyService = '*'
const unauthenticated = 16
const permissionDenied = 7

/** Who may speak for which node (X25). */
export class Authorizer {
  readonly #options: AuthorizerOptions

  constructor(options: AuthorizerOptions) {
    this.#options = options
  }

  /**
   * `service`: that of the node; undefined when it has none. Throws XdsRefusedError UNAUTHENTICATED without a credential
   * that counts, PERMISSION_DENIED when it does not cover the service.
   */
  authorize(service: string | undefined, peer: XdsPeer): void {
    const covered = this.#covered(peer)
    if (covered.has(everyService) || (service !== undefined && covered.has(service))) return
    throw new XdsRefusedError(permissionDenied, 'the credential does not cover the service of this node')
  }

  /** For what shows every sidecar: only a token for all services will do. Throws as `authorize`. */
  authorizeAll(peer: XdsPeer): void {
    if (this.#covered(peer).has(everyService)) return
    throw new XdsRefusedError(permissionDenied, 'the credential does not cover all services')
  }

  #covered({ spiffeIds, bearerToken }: XdsPeer): ReadonlySet<string> {
    const { tokens, trustDomain, now } = this.#options
    const byToken = bearerToken === undefined ? undefined : tokens()?.find(bearerToken, now())
    const ids = trustDomain === null ? [] : spiffeIds.flatMap(id => serviceIn(id, trustDomain) ?? [])
    if (byToken !== undefined || ids.length > 0) return new Set([...(byToken ?? []), ...ids])
    if (bearerToken !== undefined) {
      throw new XdsRefusedError(unauthenticated, 'the token is not known or has expired')
    }
    throw new XdsRefusedError(
      unauthenticated,
      spiffeIds.length > 0
        ? 'the client certificate is not of a service of this mesh'
        : 'a client certificate or a token is needed',
    )
  }
}

function serviceIn(spiffeId: string, trustDomain: string): string | undefined {
  const prefix = `spiffe://${trustDomain}/service/`
  const service = spiffeId.startsWith(prefix) ? spiffeId.slice(prefix.length) : ''
  return /^[a-z0-9.-]+$/.test(service) ? service : undefined
}
