import { BlockList, isIP } from 'node:net'

/**
 * What a check must not reach unless the operator says so: link-local addresses, under which clouds serve their
 * machines' credentials, the metadata addresses outside that range (AWS IPv6, Alibaba, Azure, Oracle), the same
 * link-local range behind a NAT64 gateway, and addresses that are no single host. Loopback is not among them: a
 * control plane beside its services is a normal way to run.
 */
export const defaultDeniedCidrs: readonly string[] = [
  '169.254.0.0/16',
  'fe80::/10',
  'fd00:ec2::254/128',
  '100.100.100.200/32',
  '168.63.129.16/32',
  '192.0.0.192/32',
  '64:ff9b::a9fe:0/112',
  '224.0.0.0/4',
  '255.255.255.255/32',
  'ff00::/8',
]

/** Addresses that no check may probe. IPv4 rules also hold for IPv4-mapped IPv6 addresses. */
export class AddressPolicy {
  readonly #denied = new BlockList()

  /** Throws RangeError for what is not a CIDR (`10.0.0.0/8`, `fd00::/8`) or a single address. */
  constructor(denied: readonly string[] = defaultDeniedCidrs) {
    for (const cidr of denied) {
      const [address = '', length, ...rest] = cidr.split('/')
      const version = isIP(address)
      const bits = version === 4 ? 32 : 128
      const prefix = length === undefined ? bits : /^\d{1,3}$/.test(length) ? Number(length) : -1
      if (version === 0 || prefix < 0 || prefix > bits || rest.length > 0) {
        throw new RangeError(`"${cidr}" is not a CIDR: expected for example 10.0.0.0/8 or fd00::/8`)
      }
      this.#denied.addSubnet(address, prefix, version === 4 ? 'ipv4' : 'ipv6')
    }
  }

  /** False also for what is not an IP address: names are not resolved, so they cannot be judged. */
  allows(address: string): boolean {
    const version = isIP(address)
    if (version === 0) return false
    return !this.#denied.check(address, version === 4 ? 'ipv4' : 'ipv6')
  }
}
