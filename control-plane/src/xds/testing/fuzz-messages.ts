import {
  DeltaDiscoveryRequest,
  DiscoveryRequest,
} from '@envoyproxy/protos/envoy/service/discovery/v3/discovery.ts'
import { LoadStatsRequest } from '@envoyproxy/protos/envoy/service/load_stats/v3/lrs.ts'
import { ClientStatusRequest } from '@envoyproxy/protos/envoy/service/status/v3/csds.ts'
import * as fc from 'fast-check'
import {
  clusterType,
  endpointType,
  listenerType,
  routeType,
  secretType,
  virtualHostType,
} from '../type-urls.ts'
import type { Answered, FuzzNonces } from './fuzz-nonces.ts'

/** One change of bytes: at a place (a part of the length, 0 to 1), what. */
type Mutation =
  | { readonly do: 'flip'; readonly at: number; readonly bit: number }
  | { readonly do: 'insert' | 'overwrite'; readonly at: number; readonly bytes: Uint8Array }
  | { readonly do: 'remove' | 'repeat'; readonly at: number; readonly length: number }
  | { readonly do: 'cut'; readonly at: number }

const at = fc.double({ min: 0, max: 1, noNaN: true })
/** Bytes that mean something to a protobuf reader: large lengths, groups, long varints. */
const telling = fc.constantFrom(
  [0xff, 0xff, 0xff, 0xff, 0x0f],
  [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01],
  [0x0b],
  [0x0c],
  [0x0a, 0xff, 0x01],
  [0x1a, 0x00],
  [0xed, 0xa0, 0x80],
  [0x00],
)
const inserted = fc.oneof(
  fc.uint8Array({ maxLength: 16 }),
  telling.map(bytes => Uint8Array.from(bytes)),
)

export const mutations: fc.Arbitrary<Mutation[]> = fc.array(
  fc.oneof(
    fc.record({ do: fc.constant('flip' as const), at, bit: fc.nat(7) }),
    fc.record({ do: fc.constantFrom('insert' as const, 'overwrite' as const), at, bytes: inserted }),
    fc.record({ do: fc.constantFrom('remove' as const, 'repeat' as const), at, length: fc.nat(64) }),
    fc.record({ do: fc.constant('cut' as const), at }),
  ),
  { maxLength: 4 },
)

export const mutate = (bytes: Uint8Array, all: readonly Mutation[]): Buffer =>
  all.reduce((buffer: Buffer, mutation) => mutated(buffer, mutation), Buffer.from(bytes))

function mutated(bytes: Buffer, mutation: Mutation): Buffer {
  const place = Math.floor(mutation.at * bytes.length)
  const [before, after] = [bytes.subarray(0, place), bytes.subarray(place)]
  switch (mutation.do) {
    case 'flip':
      return Buffer.concat([
        before,
        Buffer.from(after.map((byte, index) => (index === 0 ? byte ^ (1 << mutation.bit) : byte))),
      ])
    case 'insert':
      return Buffer.concat([before, mutation.bytes, after])
    case 'overwrite':
      return Buffer.concat([before, mutation.bytes, after.subarray(mutation.bytes.length)])
    case 'remove':
      return Buffer.concat([before, after.subarray(mutation.length)])
    case 'repeat':
      return Buffer.concat([before, after.subarray(0, mutation.length), after])
    case 'cut':
      return before
  }
}

export const knownTypes = [clusterType, endpointType, listenerType, routeType, secretType, virtualHostType]
export const knownNames = ['a', 'b', 'c', 'd/v2']

const typeUrl = fc.oneof(
  { weight: 40, arbitrary: fc.constantFrom(...knownTypes) },
  { weight: 1, arbitrary: fc.string({ unit: 'binary' }) },
)
const name = fc.oneof(
  { weight: 40, arbitrary: fc.constantFrom(...knownNames, '*', '') },
  { weight: 10, arbitrary: fc.string({ unit: 'binary', maxLength: 40 }) },
  { weight: 1, arbitrary: fc.integer({ min: 1, max: 5_000 }).map(length => 'n'.repeat(length)) },
)
const names = fc.oneof(
  { weight: 1, arbitrary: fc.constant<string[]>([]) },
  { weight: 3, arbitrary: fc.array(name, { maxLength: 8, size: 'max' }) },
)

const answers = fc.constantFrom<Answered>(
  ...(['last', 'last', 'last', 'older', 'of another type', 'made up', 'nothing', 'nothing'] as const),
)

/** A discovery request; which response it answers is known when it is sent. */
const fuzzRequest = fc.record({
  typeUrl,
  subscribe: names,
  unsubscribe: names,
  versions: fc.array(fc.tuple(name, fc.constantFrom('', '1', 'other')), { maxLength: 4 }),
  version: fc.constantFrom('', '1', 'other'),
  answers,
  error: fc.option(fc.string({ unit: 'binary', maxLength: 100 }), { nil: undefined }),
  node: fc.constantFrom('none' as const, 'empty' as const, 'whole' as const),
  // Most streams should live long enough to get into states that are worth a look.
  mutations: fc.oneof({ weight: 9, arbitrary: fc.constant([]) }, { weight: 1, arbitrary: mutations }),
})
type FuzzRequest = typeof fuzzRequest extends fc.Arbitrary<infer Request> ? Request : never

export type Form = 'delta' | 'sotw'

const node = {
  id: 'bad/1',
  cluster: 'bad',
  metadata: { waymark: { upstreams: ['a'], outboundPort: 15_001 } },
  userAgentName: 'envoy',
  clientFeatures: ['envoy.lrs.supports_send_all_clusters'],
}

/** `first`: the message must have a node to be taken. */
export function encodeFuzzRequest(
  request: FuzzRequest,
  options: { readonly form: Form; readonly nonces: FuzzNonces; readonly first: boolean },
): Buffer {
  const { form, nonces, first } = options
  const common = {
    ...(request.node === 'whole' || (first && request.node !== 'empty') ? { node } : {}),
    typeUrl: request.typeUrl,
    responseNonce: nonces.pick(request.answers, request.typeUrl),
    ...(request.error === undefined ? {} : { errorDetail: { code: 13, message: request.error } }),
  }
  const bytes =
    form === 'delta'
      ? DeltaDiscoveryRequest.encode(
          DeltaDiscoveryRequest.fromPartial({
            ...common,
            resourceNamesSubscribe: request.subscribe,
            resourceNamesUnsubscribe: request.unsubscribe,
            initialResourceVersions: Object.fromEntries(request.versions),
          }),
        )
      : DiscoveryRequest.encode(
          DiscoveryRequest.fromPartial({
            ...common,
            resourceNames: request.subscribe,
            versionInfo: request.version,
          }),
        )
  return mutate(bytes.finish(), request.mutations)
}

/** What a client of any form does, or what changes meanwhile. */
export const fuzzStep = fc.oneof(
  { weight: 16, arbitrary: fc.record({ do: fc.constant('request' as const), request: fuzzRequest }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('bytes' as const),
      bytes: fc.uint8Array({ maxLength: 300 }).map((bytes): Buffer => Buffer.from(bytes)),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('change' as const),
      typeUrl: fc.constantFrom(...knownTypes),
      name: fc.constantFrom(...knownNames),
      body: fc.constantFrom('1', '2', undefined),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.constantFrom(1, 100, 16_000, 20_000) }),
  },
)
export type FuzzStep = typeof fuzzStep extends fc.Arbitrary<infer Step> ? Step : never

const amount = fc.oneof(fc.nat(), fc.constantFrom(Number.MAX_SAFE_INTEGER, 2 ** 31))

/** Bytes for the services beside discovery. */
export const loadReport = fc
  .record({
    node: fc.constantFrom(undefined, node, { id: '' }),
    clusters: fc.array(fc.record({ clusterName: name, totalDroppedRequests: amount }), { maxLength: 4 }),
    mutations,
  })
  .map(({ mutations: changes, node: sender, clusters }) => {
    const upstreamLocalityStats = [
      {
        totalIssuedRequests: 3,
        upstreamEndpointStats: [{ address: { socketAddress: { address: '10.0.0.1', portValue: 1 } } }],
      },
    ]
    const clusterStats = clusters.map(cluster => ({ ...cluster, upstreamLocalityStats }))
    const report = LoadStatsRequest.fromPartial({ ...(sender ? { node: sender } : {}), clusterStats })
    return mutate(LoadStatsRequest.encode(report).finish(), changes)
  })

const regex = fc.oneof(
  fc.constantFrom('.*', '(', 'bad/.+', '\\C', '[[:bad:]]', '(a{1000}){1000}'),
  fc.string({ unit: 'binary' }),
)

export const statusRequest = fc
  .record({ prefix: name, regex: fc.option(regex), mutations })
  .map(({ prefix, regex: pattern, mutations: changes }) => {
    const nodeId = pattern === null ? { prefix } : { safeRegex: { regex: pattern } }
    const request = ClientStatusRequest.fromPartial({ nodeMatchers: [{ nodeId }] })
    return mutate(ClientStatusRequest.encode(request).finish(), changes)
  })
