import { isIP } from 'node:net'

/** `any`, or the host names that a listener answers for besides addresses and `localhost`. */
export type AllowedHosts = 'any' | readonly string[]

const withoutPort = /^(?:\[([^\]]*)\]|([^:]*))(?::[0-9]{1,5})?$/

/**
 * Whether a `Host` header may be answered. A page in a browser can have its own host name resolve to this
 * listener (DNS rebinding) and is then of the same origin; such requests carry that name. An address cannot be
 * rebound, and `localhost` resolves to nothing else.
 */
export const isAllowedHost = (header: string | undefined, allowed: AllowedHosts): boolean => {
  if (allowed === 'any') return true
  const [, bracketed, plain] = withoutPort.exec(header ?? '') ?? []
  const host = (bracketed ?? plain ?? '').toLowerCase()
  if (isIP(host) !== 0 || host === 'localhost' || host.endsWith('.localhost')) return true
  return allowed.some(name => name.toLowerCase() === host)
}
