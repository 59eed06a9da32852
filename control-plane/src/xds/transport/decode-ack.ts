import { typesInOrder } from '../order/order.ts'
import type { DeltaRequest } from '../subscription/xds-request.ts'

/** The strings that the server compares with: a new one for each ACK would be hashed each time. */
const types: ReadonlyMap<string, string> = new Map(typesInOrder.map(url => [url, url]))

/** Tags of `type_url` and `response_nonce` of a DeltaDiscoveryRequest. */
const typeTag = 0x12
const nonceTag = 0x32
/** Longer ones have a length of two bytes. */
const shortest = 128

const nothing: readonly string[] = []
const noVersions: ReadonlyMap<string, string> = new Map()

/**
 * Reads a DeltaDiscoveryRequest that is an ACK and nothing else, as nearly all are: a type that is served, and a nonce.
 * Undefined: it is something else.
 */
export function decodeAck(bytes: Buffer): DeltaRequest | undefined {
  const length = bytes[1] ?? shortest
  if (bytes[0] !== typeTag || length >= shortest || bytes[length + 2] !== nonceTag) return undefined
  const start = length + 4
  const nonceLength = bytes[length + 3] ?? shortest
  if (nonceLength >= shortest || start + nonceLength !== bytes.length) return undefined
  const typeUrl = types.get(bytes.toString('latin1', 2, length + 2))
  if (typeUrl === undefined) return undefined
  const nonce = bytes.toString('utf8', start)
  return {
    node: undefined,
    typeUrl,
    subscribe: nothing,
    unsubscribe: nothing,
    initialVersions: noVersions,
    nonce,
    error: undefined,
  }
}
