import { isIP } from 'node:net'

const form = /^(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+)):([0-9]{1,5})$/

/** `0.0.0.0:50051` or `[::]:50051`; undefined: no address that a server can have bound. */
export const parseBoundAddress = (text: string): { address: string; port: number } | undefined => {
  const [, ipv6, ipv4, digits] = form.exec(text) ?? []
  const address = ipv6 ?? ipv4 ?? ''
  const port = Number(digits)
  if (isIP(address) === 0 || (ipv6 === undefined) !== (isIP(address) === 4)) return undefined
  return port >= 1 && port <= 65_535 ? { address, port } : undefined
}
