import { BlockList, isIP, SocketAddress } from 'node:net'

/** Addresses that name no host: nobody could be called there. Loopback and link-local ones may be meant. */
const noHost = new BlockList()
noHost.addSubnet('0.0.0.0', 8, 'ipv4')
noHost.addSubnet('224.0.0.0', 4, 'ipv4')
noHost.addAddress('255.255.255.255', 'ipv4')
noHost.addAddress('::', 'ipv6')
noHost.addSubnet('ff00::', 8, 'ipv6')

const mapped = '::ffff:'

/**
 * The one way to write an address that a host can have (RFC 5952 for version 6; an IPv4-mapped one as version
 * 4), or undefined: a host name, a zone id, an unspecified, multicast or broadcast address.
 */
export const canonicalAddress = (text: string): string | undefined => {
  const version = isIP(text)
  if (version === 0 || text.includes('%')) return undefined
  const family = version === 4 ? 'ipv4' : 'ipv6'
  const { address } = new SocketAddress({ address: text, family })
  if (address.startsWith(mapped)) return canonicalAddress(address.slice(mapped.length))
  return noHost.check(address, family) ? undefined : address
}
