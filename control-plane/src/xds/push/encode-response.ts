import { BinaryWriter } from '@bufbuild/protobuf/wire'
import type { XdsResource } from '../port.ts'

/**
 * Field `resources` of a DeltaDiscoveryResponse, tag and length included, so that responses are concatenations.
 * `ttl`: with the resource's time to live, if it has one (X22).
 */
export function encodeResource(typeUrl: string, resource: XdsResource, options: { ttl: boolean }): Buffer {
  const { name, version, body, aliases = [], ttlMs } = resource
  const writer = new BinaryWriter()
  writer.uint32(18).fork()
  writer.uint32(10).string(version)
  if (body !== null) {
    writer.uint32(18).fork()
    writer.uint32(10).string(typeUrl)
    writer.uint32(18).bytes(body)
    writer.join()
  }
  writer.uint32(26).string(name)
  for (const alias of aliases) writer.uint32(34).string(alias)
  if (options.ttl && ttlMs !== undefined) encodeTtl(writer, ttlMs)
  writer.join()
  return asBuffer(writer.finish())
}

/** The rest of a DeltaDiscoveryResponse: version of the type, type, nonce and removed names. */
export function encodeTail(tail: {
  typeUrl: string
  version: string | undefined
  nonce: string
  removed: readonly string[]
}): Buffer {
  const { typeUrl, version, nonce, removed } = tail
  const writer = new BinaryWriter()
  if (version !== undefined) writer.uint32(10).string(version)
  writer.uint32(34).string(typeUrl)
  writer.uint32(42).string(nonce)
  for (const name of removed) writer.uint32(50).string(name)
  return asBuffer(writer.finish())
}

/** Field `ttl`, a Duration of seconds and nanoseconds. */
function encodeTtl(writer: BinaryWriter, ttlMs: number): void {
  writer.uint32(50).fork()
  writer.uint32(8).int64(Math.floor(ttlMs / 1000))
  writer.uint32(16).int32(Math.floor((ttlMs % 1000) * 1e6))
  writer.join()
}

const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
