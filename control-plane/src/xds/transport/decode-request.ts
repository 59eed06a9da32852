import { BinaryReader } from '@bufbuild/protobuf/wire'
import { Status } from '@envoyproxy/protos/google/rpc/status.ts'
import { decodeNode } from './decode-node.ts'
import type { DeltaRequest, MalformedRequest, SotwRequest } from '../subscription/xds-request.ts'
import { eachField } from './fields.ts'
import type { XdsNode } from '../port.ts'

const nothing: readonly string[] = []
const noVersions: ReadonlyMap<string, string> = new Map()

/** Reads a DeltaDiscoveryRequest without the parts that nobody uses. Never throws: grpc-js would hide the reason. */
export const decodeDeltaRequest = (bytes: Uint8Array): DeltaRequest | MalformedRequest =>
  orMalformed(() => decodeDelta(new BinaryReader(bytes)))

/** Reads a DiscoveryRequest likewise. */
export const decodeSotwRequest = (bytes: Uint8Array): SotwRequest | MalformedRequest =>
  orMalformed(() => decodeSotw(new BinaryReader(bytes)))

function orMalformed<Request>(decode: () => Request): Request | MalformedRequest {
  try {
    return decode()
  } catch (error) {
    return { malformed: error instanceof Error ? error.message : 'unreadable bytes' }
  }
}

function decodeDelta(reader: BinaryReader): DeltaRequest {
  let node: XdsNode | undefined
  let typeUrl = ''
  let nonce = ''
  let error: string | undefined
  let subscribe: string[] | undefined
  let unsubscribe: string[] | undefined
  let versions: Map<string, string> | undefined
  eachField(reader, reader.len, field => {
    if (field === 1) node = decodeNode(reader, reader.uint32())
    else if (field === 2) typeUrl = reader.string()
    else if (field === 3) (subscribe ??= []).push(reader.string())
    else if (field === 4) (unsubscribe ??= []).push(reader.string())
    else if (field === 5) versionEntry(reader, (versions ??= new Map<string, string>()))
    else if (field === 6) nonce = reader.string()
    else if (field === 7) error = Status.decode(reader, reader.uint32()).message
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

function decodeSotw(reader: BinaryReader): SotwRequest {
  let node: XdsNode | undefined
  let typeUrl = ''
  let nonce = ''
  let version = ''
  let error: string | undefined
  let names: string[] | undefined
  eachField(reader, reader.len, field => {
    if (field === 1) version = reader.string()
    else if (field === 2) node = decodeNode(reader, reader.uint32())
    else if (field === 3) (names ??= []).push(reader.string())
    else if (field === 4) typeUrl = reader.string()
    else if (field === 5) nonce = reader.string()
    else if (field === 6) error = Status.decode(reader, reader.uint32()).message
    else return false
    return true
  })
  return { node, typeUrl, names: names ?? nothing, version, nonce, error }
}

function versionEntry(reader: BinaryReader, versions: Map<string, string>): void {
  let name = ''
  let version = ''
  eachField(reader, reader.uint32(), field => {
    if (field === 1) name = reader.string()
    else if (field === 2) version = reader.string()
    else return false
    return true
  })
  versions.set(name, version)
}
