import { BlockList, isIP } from 'node:net'

const loopback = new BlockList()
loopback.addSubnet('127.0.0.0', 8, 'ipv4')
loopback.addAddress('::1', 'ipv6')

const withoutPort = /^(?:\[([^\]]*)\]|([^:]*))(?::[0-9]{1,5})?$/

interface Arrival {
  readonly host: string | undefined
  /** The address of this machine that the connection came in on. */
  readonly localAddress: string | undefined
}

const onLoopback = (address: string | undefined): boolean =>
  address === undefined || loopback.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4')

/**
 * Whether a request may be answered, by its `Host` header. A page in a browser can have its own host name resolve
 * to this listener (DNS rebinding) and is then of the same origin; such requests carry that name. An address
 * cannot be rebound, and `localhost` resolves to nothing else. Without `allowed`, names are refused on
 * connections over loopback, which only a browser of this machine makes with a foreign name; with it, they are
 * refused everywhere but for those in it.
 */
export const isAllowedHost = ({ host, localAddress }: Arrival, allowed?: readonly string[]): boolean => {
  const [, bracketed, plain] = withoutPort.exec(host ?? '') ?? []
  const name = (bracketed ?? plain ?? '').toLowerCase()
  if (isIP(name) !== 0 || name === 'localhost' || name.endsWith('.localhost')) return true
  return allowed?.some(one => one.toLowerCase() === name) ?? !onLoopback(localAddress)
}
