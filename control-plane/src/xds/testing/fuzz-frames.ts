import * as fc from 'fast-check'
import { discoveryServices } from '../transport/discovery-services.ts'
import { clusterType } from '../type-urls.ts'
import { DeltaDiscoveryRequest } from '@envoyproxy/protos/envoy/service/discovery/v3/discovery.ts'
import { mutate, mutations } from './fuzz-messages.ts'

const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1')

/** An HTTP/2 frame (RFC 9113, section 4.1); `length`: what its head says, if that is not the truth. */
export function frame(options: {
  readonly type: number
  readonly flags?: number
  readonly stream?: number
  readonly payload?: Uint8Array
  readonly length?: number
}): Buffer {
  const { type, flags = 0, stream = 0, payload = new Uint8Array() } = options
  const head = Buffer.alloc(9)
  head.writeUIntBE((options.length ?? payload.length) & 0xffffff, 0, 3)
  head[3] = type
  head[4] = flags
  head.writeUInt32BE(stream >>> 0, 5)
  return Buffer.concat([head, payload])
}

/** A header field without compression (RFC 7541, section 6.2.2), of at most 127 bytes each. */
const field = (name: string, value: string): Buffer =>
  Buffer.concat([
    Buffer.from([0, name.length]),
    Buffer.from(name),
    Buffer.from([value.length]),
    Buffer.from(value),
  ])

/** The head of a call of a path. */
export const callHeaders = (path: string, more: Readonly<Record<string, string>> = {}): Buffer =>
  Buffer.concat([
    field(':method', 'POST'),
    field(':scheme', 'http'),
    field(':path', path),
    field(':authority', 'waymark'),
    field('content-type', 'application/grpc'),
    field('te', 'trailers'),
    ...Object.entries(more).map(([name, value]) => field(name, value)),
  ])

/** A message as gRPC puts it into the body. */
export const grpcMessage = (bytes: Uint8Array, compressed = 0): Buffer => {
  const head = Buffer.alloc(5)
  head[0] = compressed
  head.writeUInt32BE(bytes.length, 1)
  return Buffer.concat([head, bytes])
}

/** What every connection begins with. */
export const opening: Buffer = Buffer.concat([preface, frame({ type: 4 })])

const greeting = Buffer.from(
  DeltaDiscoveryRequest.encode(
    DeltaDiscoveryRequest.fromPartial({ node: { id: 'bad/1' }, typeUrl: clusterType }),
  ).finish(),
)

const stream = fc.constantFrom(0, 1, 1, 1, 3, 5, 2, 0x7fffffff)
const flags = fc.constantFrom(0, 0x1, 0x4, 0x5, 0x8, 0x20, 0xff)
const call = fc
  .record({
    path: fc.constantFrom(...discoveryServices.map(({ path }) => path), '/no/such', ''),
    more: fc.constantFrom(
      {},
      { 'grpc-encoding': 'gzip' },
      { 'grpc-timeout': 'nonsense' },
      { 'grpc-timeout': '1n' },
    ),
    stream: fc.constantFrom(1, 3, 5),
    flags: fc.constantFrom(0x4, 0x4, 0x4, 0x5, 0),
  })
  .map(({ path, more, ...rest }) => frame({ type: 1, ...rest, payload: callHeaders(path, more) }))
const message = fc
  .record({
    compressed: fc.constantFrom(0, 0, 0, 1, 7),
    mutations,
    stream,
    flags: fc.constantFrom(0, 0, 0x1, 0x8),
  })
  .map(({ compressed, mutations: changes, ...rest }) =>
    frame({ type: 0, ...rest, payload: mutate(grpcMessage(greeting, compressed), changes) }),
  )
const anyFrame = fc
  .record({
    type: fc.nat(12),
    flags,
    stream,
    payload: fc.uint8Array({ maxLength: 64 }),
    length: fc.option(fc.constantFrom(0, 1, 16_384, 0xffffff), { nil: undefined }),
  })
  .map(({ length, ...rest }) => frame({ ...rest, ...(length === undefined ? {} : { length }) }))
const ping = fc.constant(frame({ type: 6, payload: Buffer.alloc(8) }))

const part = fc.oneof(
  { weight: 3, arbitrary: call },
  { weight: 3, arbitrary: message },
  { weight: 2, arbitrary: anyFrame },
  { weight: 1, arbitrary: ping },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 200 }).map(bytes => Buffer.from(bytes)) },
)

/** What a client writes to a connection, one write after the other. */
export const connectionBytes: fc.Arbitrary<Buffer[]> = fc
  .record({
    start: fc.oneof(
      { weight: 9, arbitrary: fc.constant(opening) },
      { weight: 1, arbitrary: mutations.map(all => mutate(opening, all)) },
    ),
    parts: fc.array(part, { maxLength: 8 }),
  })
  .map(({ start, parts }) => [start, ...parts])
