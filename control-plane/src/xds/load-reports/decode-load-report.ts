import { WireType, BinaryReader } from '@bufbuild/protobuf/wire'
import { Address } from '@envoyproxy/protos/envoy/config/core/v3/address.ts'
import type { XdsNode } from '../port.ts'
import { decodeNode } from '../transport/decode-node.ts'
import {
  addCounts,
  hasCounts,
  noCounts,
  type ClusterReport,
  type EndpointReport,
  type LoadCounts,
  type LoadMetric,
  type LoadReport,
} from './load-report.ts'

const noMetrics: ReadonlyMap<string, LoadMetric> = new Map()

/** Reads fields until the end of a message; a field that `read` does not want is skipped. Throws on bad bytes. */
function walk(reader: BinaryReader, end: number, read: (field: number, wireType: WireType) => boolean): void {
  if (end > reader.len) throw new RangeError('a field ends beyond its message')
  while (reader.pos < end) {
    const [field, wireType] = reader.tag()
    if (!read(field, wireType)) reader.skip(wireType)
  }
  if (reader.pos !== end) throw new RangeError('a field ends beyond its message')
}

const walkMessage = (reader: BinaryReader, read: (field: number, wireType: WireType) => boolean): void => {
  const length = reader.uint32()
  walk(reader, reader.pos + length, read)
}

/** The node of a LoadStatsRequest; undefined without one. Throws on bad bytes. */
export function decodeLoadNode(bytes: Uint8Array): XdsNode | undefined {
  let node: XdsNode | undefined
  const reader = new BinaryReader(bytes)
  walk(reader, reader.len, (field, wireType) => {
    if (field !== 1 || wireType !== WireType.LengthDelimited) return false
    node = decodeNode(reader, reader.uint32())
    return true
  })
  return node
}

/**
 * The counters of a LoadStatsRequest. The node, 60 KB in every report of an Envoy, is skipped unread; so are
 * clusters without traffic. Throws on bad bytes.
 */
export function decodeLoadReport(bytes: Uint8Array): LoadReport {
  const reader = new BinaryReader(bytes)
  const clusters = new Map<string, ClusterReport>()
  const tally = { absurd: 0 }
  walk(reader, reader.len, (field, wireType) => {
    if (field !== 2 || wireType !== WireType.LengthDelimited) return false
    const report = clusterReport(reader, tally)
    if (report.cluster === '' || report.cluster.length > maxClusterName) {
      tally.absurd += 1
      return true
    }
    if (!hasCounts(report) && report.dropped === 0 && report.endpoints.length === 0) return true
    const before = clusters.get(report.cluster)
    clusters.set(report.cluster, before === undefined ? report : merged(before, report))
    return true
  })
  return { clusters: [...clusters.values()], absurd: tally.absurd }
}

/** One of the two is at most a repetition of the name; Envoy sends each cluster once. */
const merged = (a: ClusterReport, b: ClusterReport): ClusterReport => ({
  ...a,
  ...addCounts(a, b),
  dropped: Math.min(a.dropped + b.dropped, Number.MAX_SAFE_INTEGER),
  endpoints: [...a.endpoints, ...b.endpoints],
})

interface Tally {
  absurd: number
}

/** Names are kept: what is longer than any real one is not. */
const maxClusterName = 512
const maxAddress = 256
const maxMetricName = 128
/** Kept of one endpoint. */
const maxMetrics = 32

/** A uint64. What is beyond 2^53 - 1, as a negative number would be, is taken as 0 and tallied. */
function counter(reader: BinaryReader, tally: Tally): number {
  const value = Number(reader.uint64())
  if (Number.isSafeInteger(value)) return value
  tally.absurd += 1
  return 0
}

function clusterReport(reader: BinaryReader, tally: Tally): ClusterReport {
  let cluster = ''
  let intervalMs = 0
  let dropped = 0
  let counts = noCounts
  const endpoints: EndpointReport[] = []
  walkMessage(reader, (field, wireType) => {
    if (wireType === WireType.Varint && field === 3) dropped = counter(reader, tally)
    else if (wireType !== WireType.LengthDelimited) return false
    else if (field === 1) cluster = reader.string()
    else if (field === 2) counts = addCounts(counts, localityReport(reader, endpoints, tally))
    else if (field === 4) intervalMs = durationMs(reader)
    else return false
    return true
  })
  return { cluster, intervalMs, dropped, ...counts, endpoints }
}

/** Localities and endpoints number their counters alike, but for "issued". */
function countName(field: number, issuedField: number): keyof LoadCounts | undefined {
  if (field === issuedField) return 'issued'
  if (field === 2) return 'succeeded'
  if (field === 3) return 'inProgress'
  return field === 4 ? 'failed' : undefined
}

/** An UpstreamLocalityStats; its endpoints go into the list. */
function localityReport(reader: BinaryReader, endpoints: EndpointReport[], tally: Tally): LoadCounts {
  const counts = { ...noCounts }
  walkMessage(reader, (field, wireType) => {
    if (field === 7 && wireType === WireType.LengthDelimited) {
      const report = endpointReport(reader, tally)
      if (report !== undefined) endpoints.push(report)
      return true
    }
    const name = wireType === WireType.Varint ? countName(field, 8) : undefined
    if (name === undefined) return false
    counts[name] = counter(reader, tally)
    return true
  })
  return counts
}

/** An UpstreamEndpointStats; undefined without a usable address. */
function endpointReport(reader: BinaryReader, tally: Tally): EndpointReport | undefined {
  const counts = { ...noCounts }
  let address = ''
  let metrics: Map<string, LoadMetric> | undefined
  walkMessage(reader, (field, wireType) => {
    if (wireType === WireType.LengthDelimited) {
      if (field === 1) address = addressText(Address.decode(reader, reader.uint32()))
      else if (field === 5) metric(reader, (metrics ??= new Map<string, LoadMetric>()), tally)
      else return false
      return true
    }
    const name = wireType === WireType.Varint ? countName(field, 7) : undefined
    if (name === undefined) return false
    counts[name] = counter(reader, tally)
    return true
  })
  if (address !== '' && address.length <= maxAddress) {
    return { address, ...counts, metrics: metrics ?? noMetrics }
  }
  tally.absurd += 1
  return undefined
}

function addressText({ socketAddress, pipe }: Address): string {
  if (socketAddress === undefined) return pipe?.path ?? ''
  const { address: host, portValue } = socketAddress
  return `${host.includes(':') ? `[${host}]` : host}:${portValue ?? 0}`
}

/** An EndpointLoadMetricStats. A sum that is no finite number is left out. */
function metric(reader: BinaryReader, metrics: Map<string, LoadMetric>, tally: Tally): void {
  let name = ''
  let count = 0
  let sum = 0
  walkMessage(reader, (field, wireType) => {
    if (field === 1 && wireType === WireType.LengthDelimited) name = reader.string()
    else if (field === 2 && wireType === WireType.Varint) count = counter(reader, tally)
    else if (field === 3 && wireType === WireType.Bit64) sum = reader.double()
    else return false
    return true
  })
  const usable = name !== '' && name.length <= maxMetricName && Number.isFinite(sum)
  if (usable && metrics.size < maxMetrics) metrics.set(name, { count, sum })
  else tally.absurd += 1
}

/** A google.protobuf.Duration in milliseconds; what is negative or absurd is 0. */
function durationMs(reader: BinaryReader): number {
  let ms = 0
  walkMessage(reader, (field, wireType) => {
    if (wireType !== WireType.Varint) return false
    if (field === 1) ms += Number(reader.int64()) * 1_000
    else if (field === 2) ms += reader.int32() / 1_000_000
    else return false
    return true
  })
  const rounded = Math.round(ms)
  return rounded > 0 && Number.isSafeInteger(rounded) ? rounded : 0
}
