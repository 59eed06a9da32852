import { networkInterfaces } from 'node:os'

const wildcards: ReadonlySet<string> = new Set(['0.0.0.0', '::', ''])

/**
 * Where others reach a listener that is bound to `host`: there, or, if it is bound to all addresses, at the first
 * address of this machine that is not of the machine itself.
 */
export const reachableHost = (
  host: string,
  interfaces: ReturnType<typeof networkInterfaces> = networkInterfaces(),
): string => {
  if (!wildcards.has(host)) return host
  const addresses = Object.values(interfaces).flatMap(list => list ?? [])
  const outside = addresses.filter(({ internal, address }) => !internal && !address.startsWith('fe80:'))
  // "0.0.0.0" has IPv4 addresses only.
  const found = outside.find(({ family }) => family === 'IPv4') ?? (host === '::' ? outside[0] : undefined)
  return found?.address ?? host
}
