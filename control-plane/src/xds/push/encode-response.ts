import { BinaryWriter } from '@bufbuild/protobuf/wire'
import type { XdsResource } from '../port.ts'

/** How the responses of one form are written: each is a concatenation of its resources and a tail. */
export interface ResponseWire {
  /** Field `resources`, tag and length included. */
  resource(typeUrl: string, resource: XdsResource): Buffer
  /** The rest of the message. */
  tail(fields: ResponseTail): Buffer
}

export interface ResponseTail {
  readonly typeUrl: string
  readonly version: string | undefined
  readonly nonce: string
  readonly removed: readonly string[]
}

/** DeltaDiscoveryResponse. `ttl`: with the resources' times to live, where they have one (X22). */
export const deltaWire = (options: { ttl: boolean }): ResponseWire => ({
  resource: (typeUrl, { name, version, body, aliases = [], ttlMs }) => {
    const writer = new BinaryWriter()
    writer.uint32(18).fork()
    writer.uint32(10).string(version)
    if (body !== null) encodeAny(writer.uint32(18), typeUrl, body)
    writer.uint32(26).string(name)
    for (const alias of aliases) writer.uint32(34).string(alias)
    if (options.ttl && ttlMs !== undefined) encodeTtl(writer, ttlMs)
    writer.join()
    return asBuffer(writer.finish())
  },
  tail: ({ typeUrl, version, nonce, removed }) => {
    const writer = new BinaryWriter()
    if (version !== undefined) writer.uint32(10).string(version)
    writer.uint32(34).string(typeUrl)
    writer.uint32(42).string(nonce)
    for (const name of removed) writer.uint32(50).string(name)
    return asBuffer(writer.finish())
  },
})

/** DiscoveryResponse: state of the world. It has no words for aliases, bodiless resources and removed names. */
export const sotwWire: ResponseWire = {
  resource: (typeUrl, { body }) => {
    const writer = new BinaryWriter()
    encodeAny(writer.uint32(18), typeUrl, body ?? new Uint8Array())
    return asBuffer(writer.finish())
  },
  tail: ({ typeUrl, version, nonce }) => {
    const writer = new BinaryWriter()
    if (version !== undefined) writer.uint32(10).string(version)
    writer.uint32(34).string(typeUrl)
    writer.uint32(42).string(nonce)
    return asBuffer(writer.finish())
  },
}

function encodeAny(writer: BinaryWriter, typeUrl: string, body: Uint8Array): void {
  writer.fork()
  writer.uint32(10).string(typeUrl)
  writer.uint32(18).bytes(body)
  writer.join()
}

/** Field `ttl`, a Duration of seconds and nanoseconds. */
function encodeTtl(writer: BinaryWriter, ttlMs: number): void {
  writer.uint32(50).fork()
  writer.uint32(8).int64(Math.floor(ttlMs / 1000))
  writer.uint32(16).int32(Math.floor((ttlMs % 1000) * 1e6))
  writer.join()
}

const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
