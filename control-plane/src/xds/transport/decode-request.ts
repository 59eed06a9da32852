import { BinaryReader } from '@bufbuild/protobuf/wire'
import { Status } from '@envoyproxy/protos/google/rpc/status.ts'
import { decodeNode } from './decode-node.ts'
import type { DeltaRequest, MalformedRequest, SotwRequest } from '../subscription/xds-request.ts'
import { decodeAck } from './decode-ack.ts'
import { eachField } from './fields.ts'
import type { XdsNode } from '../port.ts'

const nothing: readonly string[] = []
const noVersions: ReadonlyMap<string, string> = new Map()

/** What one stream may hold. */
export interface RequestLimits {
  readonly maxNames: number
}

/** A request has three lists: what is asked for, what no longer, what is held. */
const lists = 3

/**
 * Reads a DeltaDiscoveryRequest without the parts that nobody uses. Never throws. An empty name takes two bytes: without
 * the limit a small request would become a long list.
 */
export const decodeDeltaRequest = (
  bytes: Uint8Array,
  limits: RequestLimits,
): DeltaRequest | MalformedRequest =>
  decodeAck(asBuffer(bytes)) ??
  orMalformed(() => decodeDelta(new BinaryReader(bytes), new RequestText(bytes, limits)))

/** Reads a DiscoveryRequest likewise. */
export const decodeSotwRequest = (bytes: Uint8Array, limits: RequestLimits): SotwRequest | MalformedRequest =>
  orMalformed(() => decodeSotw(new BinaryReader(bytes), new RequestText(bytes, limits)))

const asBuffer = (bytes: Uint8Array): Buffer =>
  Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)

function orMalformed<Request>(decode: () => Request): Request | MalformedRequest {
  try {
    return decode()
  } catch (error) {
    const malformed = error instanceof Error ? error.message : 'unreadable bytes'
    return { malformed, tooLarge: error instanceof TooLargeError }
  }
}

class TooLargeError extends Error {
  override readonly name = 'TooLargeError'
}

/** Longer than any name that a library or Envoy makes: URLs with parameters are the longest. */
const maxNameLength = 2_048

/** Why a client refuses a response: Envoy names every cluster that it refuses. What is longer is cut, not refused. */
export const maxWords = 16_384

/** Reads the names and other words of one request. Throws TooLargeError for what is beyond a limit. */
class RequestText {
  readonly #bytes: Buffer
  readonly #max: number
  #read = 0

  constructor(bytes: Uint8Array, { maxNames }: RequestLimits) {
    this.#bytes = asBuffer(bytes)
    this.#max = lists * maxNames
  }

  /** A string of any length. The reader would make it of an array of its characters. */
  any(reader: BinaryReader): string {
    const length = reader.uint32()
    const start = reader.pos
    const end = start + length
    if (end > reader.len) throw new RangeError('a field ends beyond its message')
    reader.pos = end
    return this.#bytes.toString('utf8', start, end)
  }

  next(reader: BinaryReader): string {
    this.count()
    return this.short(reader)
  }

  count(): void {
    this.#read += 1
    if (this.#read > this.#max) throw new TooLargeError(`more than ${this.#max} names in one request`)
  }

  short(reader: BinaryReader): string {
    const text = this.any(reader)
    if (text.length > maxNameLength) {
      throw new TooLargeError(`a name or version has more than ${maxNameLength} characters`)
    }
    return text
  }
}

function decodeDelta(reader: BinaryReader, names: RequestText): DeltaRequest {
  let node: XdsNode | undefined
  let typeUrl = ''
  let nonce = ''
  let error: string | undefined
  let subscribe: string[] | undefined
  let unsubscribe: string[] | undefined
  let versions: Map<string, string> | undefined
  eachField(reader, reader.len, field => {
    if (field === 1) node = decodeNode(reader, reader.uint32())
    else if (field === 2) typeUrl = names.short(reader)
    else if (field === 3) (subscribe ??= []).push(names.next(reader))
    else if (field === 4) (unsubscribe ??= []).push(names.next(reader))
    else if (field === 5) versionEntry(reader, names, (versions ??= new Map<string, string>()))
    else if (field === 6) nonce = names.any(reader)
    else if (field === 7) error = words(reader)
    else return false
    return true
  })
  return {
    node,
    typeUrl,
    subscribe: subscribe ?? nothing,
    unsubscribe: unsubscribe ?? nothing,
    initialVersions: versions ?? noVersions,
    nonce,
    error,
  }
}

function decodeSotw(reader: BinaryReader, limited: RequestText): SotwRequest {
  let node: XdsNode | undefined
  let typeUrl = ''
  let nonce = ''
  let version = ''
  let error: string | undefined
  let names: string[] | undefined
  eachField(reader, reader.len, field => {
    if (field === 1) version = limited.short(reader)
    else if (field === 2) node = decodeNode(reader, reader.uint32())
    else if (field === 3) (names ??= []).push(limited.next(reader))
    else if (field === 4) typeUrl = limited.short(reader)
    else if (field === 5) nonce = limited.any(reader)
    else if (field === 6) error = words(reader)
    else return false
    return true
  })
  return { node, typeUrl, names: names ?? nothing, version, nonce, error }
}

const words = (reader: BinaryReader): string =>
  Status.decode(reader, reader.uint32()).message.slice(0, maxWords)

function versionEntry(reader: BinaryReader, names: RequestText, versions: Map<string, string>): void {
  names.count()
  let name = ''
  let version = ''
  eachField(reader, reader.uint32(), field => {
    if (field === 1) name = names.short(reader)
    else if (field === 2) version = names.short(reader)
    else return false
    return true
  })
  versions.set(name, version)
}
