import { lookup } from 'node:dns'
import { lookup as resolve } from 'node:dns/promises'
import { isIP, type LookupFunction } from 'node:net'

/** Judges an IP address before a sink connects to it. */
export type AllowsAddress = (address: string) => boolean

export const deniedAddress = 'its address is one that sinks must not reach'

export interface HostAndPort {
  /** A name, or an IP address without brackets. */
  readonly host: string
  readonly port: number
}

/** `kafka-1:9092`, `[::1]:4222` */
export const parseHostPort = (text: string): HostAndPort => {
  const colon = text.lastIndexOf(':')
  return { host: text.slice(0, colon).replace(/^\[|\]$/g, ''), port: Number(text.slice(colon + 1)) }
}

/** For sockets: names lead to allowed addresses only, at the moment of connecting, so a name cannot be another one by then. */
export const guardedLookup =
  (allows: AllowsAddress): LookupFunction =>
  (hostname, options, callback) => {
    lookup(hostname, { ...options, all: true }, (error, found) => {
      if (error !== null) {
        callback(error, [])
        return
      }
      const addresses = found.filter(({ address }) => allows(address))
      const [first] = addresses
      if (first === undefined) callback(new Error(deniedAddress), [])
      else if (options.all === true) callback(null, addresses)
      else callback(null, first.address, first.family)
    })
  }

/**
 * The allowed addresses of a host, for libraries that take no lookup: connect to one of these and not to the name.
 * Rejects when there is none.
 */
export const allowedAddresses = async (host: string, allows: AllowsAddress): Promise<readonly string[]> => {
  const found = isIP(host) === 0 ? await resolve(host, { all: true }) : [{ address: host }]
  const allowed = found.map(({ address }) => address).filter(allows)
  if (allowed.length === 0) throw new Error(`${host}: ${deniedAddress}`)
  return allowed
}
