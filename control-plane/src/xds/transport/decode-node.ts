import type { BinaryReader } from '@bufbuild/protobuf/wire'
import { BuildVersion, Locality } from '@envoyproxy/protos/envoy/config/core/v3/base.ts'
import { Value } from '@envoyproxy/protos/google/protobuf/struct.ts'
import { eachField } from './fields.ts'
import type { XdsNode } from '../port.ts'

interface NodeParts {
  id: string
  cluster: string
  region: string
  zone: string
  metadata: unknown
  agentName: string
  agentVersion: string
  readonly clientFeatures: string[]
}

const maxFeatures = 64

/**
 * Reads what matters of a `Node` of `length` bytes, from the reader's place on. Envoy's node is about 60 KB, nearly all of
 * it a list of extensions, which is skipped unread.
 */
export function decodeNode(reader: BinaryReader, length: number): XdsNode {
  const parts: NodeParts = {
    id: '',
    cluster: '',
    region: '',
    zone: '',
    metadata: undefined,
    agentName: '',
    agentVersion: '',
    clientFeatures: [],
  }
  eachField(reader, length, field => nodeField(reader, parts, field))
  const { id, cluster, region, zone, metadata, agentName, agentVersion, clientFeatures } = parts
  const agent = agentVersion === '' ? agentName : `${agentName}/${agentVersion}`
  return { id, cluster, locality: { region, zone }, metadata, agent, clientFeatures }
}

function nodeField(reader: BinaryReader, parts: NodeParts, field: number): boolean {
  switch (field) {
    case 1:
      parts.id = reader.string()
      return true
    case 2:
      parts.cluster = reader.string()
      return true
    case 3:
      metadataOf(reader, parts, reader.uint32())
      return true
    case 4:
      ;({ region: parts.region, zone: parts.zone } = Locality.decode(reader, reader.uint32()))
      return true
    case 6:
      parts.agentName = reader.string()
      return true
    case 7:
      parts.agentVersion = reader.string()
      return true
    case 8: {
      const { version } = BuildVersion.decode(reader, reader.uint32())
      if (version) parts.agentVersion = `${version.majorNumber}.${version.minorNumber}.${version.patch}`
      return true
    }
    case 10:
      if (parts.clientFeatures.length === maxFeatures) return false
      parts.clientFeatures.push(reader.string())
      return true
    default:
      return false
  }
}

/** A Struct: a map of fields, of which only `waymark` is read. */
function metadataOf(reader: BinaryReader, parts: NodeParts, length: number): void {
  eachField(reader, length, field => {
    if (field !== 1) return false
    let key = ''
    let value: unknown
    eachField(reader, reader.uint32(), entryField => {
      if (entryField === 1) key = reader.string()
      // The key comes before the value in every map entry that a protobuf library writes.
      else if (entryField === 2 && key === 'waymark') {
        value = Value.unwrap(Value.decode(reader, reader.uint32()))
      } else return false
      return true
    })
    if (key === 'waymark') parts.metadata = value
    return true
  })
}
