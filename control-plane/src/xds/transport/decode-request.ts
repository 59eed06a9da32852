import { BinaryReader } from '@bufbuild/protobuf/wire'
import { Status } from '@envoyproxy/protos/google/rpc/status.ts'
import { decodeNode } from './decode-node.ts'
import type { DeltaRequest, MalformedRequest } from '../subscription/delta-request.ts'
import { eachField } from './fields.ts'
import type { XdsNode } from '../port.ts'

const nothing: readonly string[] = []
const noVersions: ReadonlyMap<string, string> = new Map()

/** Reads a DeltaDiscoveryRequest without the parts that nobody uses. Never throws: grpc-js would hide the reason. */
export function decodeDeltaRequest(bytes: Uint8Array): DeltaRequest | MalformedRequest {
  try {
    return decode(new BinaryReader(bytes))
  } catch (error) {
    return { malformed: error instanceof Error ? error.message : 'unreadable bytes' }
  }
}

function decode(reader: BinaryReader): DeltaRequest {
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
