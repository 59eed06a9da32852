import { BlockList, isIP, SocketAddress } from 'node:net'

/** Addresses that name no host: nobody could be called there. Loopback and link-local ones may be meant. */
const noHost = new BlockList()
noHost.addAddress('::', 'ipv6')
noHost.addSubnet('ff00::', 8, 'ipv6')

const mapped = '::ffff:'

/** Of version 4 `isIP` takes one form only. Nearly all addresses are of it, and no object has to be made of them. */
const canonicalFour = (text: string): string | undefined => {
  const first = Number.parseInt(text, 10)
  return first === 0 || (first >= 224 && first <= 239) || text === '255.255.255.255' ? undefined : text
}

/**
 * The one way to write an address that a host can have (RFC 5952 for version 6; an IPv4-mapped one as version
 * 4), or undefined: a host name, a zone id, an unspecified, multicast or broadcast address.
 */
export const canonicalAddress = (text: string): string | undefined => {
  const version = isIP(text)
  if (version === 4) return canonicalFour(text)
  if (version === 0 || text.includes('%')) return undefined
  const { address } = new SocketAddress({ address: text, family: 'ipv6' })
  if (address.startsWith(mapped)) return canonicalFour(address.slice(mapped.length))
  return noHost.check(address, 'ipv6') ? undefined : address
}
