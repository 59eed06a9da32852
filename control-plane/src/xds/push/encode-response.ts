import { BinaryWriter } from '@bufbuild/protobuf/wire'
import type { XdsResource } from '../port.ts'

/** Field `resources` of a DeltaDiscoveryResponse, tag and length included, so that responses are concatenations. */
export function encodeResource(typeUrl: string, resource: XdsResource): Buffer {
  const writer = new BinaryWriter()
  writer.uint32(18).fork()
  writer.uint32(10).string(resource.version)
  writer.uint32(18).fork()
  writer.uint32(10).string(typeUrl)
  writer.uint32(18).bytes(resource.body)
  writer.join()
  writer.uint32(26).string(resource.name)
  writer.join()
  return asBuffer(writer.finish())
}

/** The rest of a DeltaDiscoveryResponse: type, nonce and removed names. */
export function encodeTail(typeUrl: string, nonce: string, removed: readonly string[]): Buffer {
  const writer = new BinaryWriter()
  writer.uint32(34).string(typeUrl)
  writer.uint32(42).string(nonce)
  for (const name of removed) writer.uint32(50).string(name)
  return asBuffer(writer.finish())
}

const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
