import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { gzipSync } from 'node:zlib'
import { DeltaDiscoveryRequest } from '@envoyproxy/protos/envoy/service/discovery/v3/discovery.ts'
import { Client, credentials, status, type ClientDuplexStream, type StatusObject } from '@grpc/grpc-js'
import { describe, expect, onTestFinished, test } from 'vitest'
import { silentLogger, type Logger } from '../../runtime/logger.ts'
import { callHeaders, frame, grpcMessage, opening } from '../testing/fuzz-frames.ts'
import { resource, ServerFixture, type FixtureOptions } from '../testing/server-fixture.ts'
import { WindowedSocket } from '../testing/windowed-socket.ts'
import { endpointType } from '../type-urls.ts'

const adsPath = '/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources'

const start = async (options: FixtureOptions = {}): Promise<ServerFixture> => {
  const fixture = await ServerFixture.start(options)
  onTestFinished(() => fixture[Symbol.asyncDispose]())
  fixture.put(resource(endpointType, 'a', 'first'))
  return fixture
}

const raw = ({ address }: ServerFixture): Socket => {
  const socket = connect({ ...address, noDelay: true })
  socket.on('error', () => undefined)
  socket.resume()
  onTestFinished(() => {
    socket.destroy()
  })
  return socket
}

/** A call of any path and any bytes. */
const callOf = (
  { address }: ServerFixture,
  path: string,
): { call: ClientDuplexStream<Buffer, Buffer>; ended: Promise<StatusObject> } => {
  const client = new Client(`${address.host}:${address.port}`, credentials.createInsecure(), {
    'grpc.use_local_subchannel_pool': 1,
  })
  onTestFinished(() => {
    client.close()
  })
  const identity = (bytes: Buffer): Buffer => bytes
  const call = client.makeBidiStreamRequest(path, identity, identity)
  call.on('error', () => undefined)
  call.on('data', () => undefined)
  const ended = new Promise<StatusObject>(resolve => {
    call.on('status', resolve)
  })
  return { call, ended }
}

const greeting = Buffer.from(
  DeltaDiscoveryRequest.encode(
    DeltaDiscoveryRequest.fromPartial({
      node: { id: 'bad/1' },
      typeUrl: endpointType,
      resourceNamesSubscribe: ['a'],
    }),
  ).finish(),
)

const head = (stream: number, more: Record<string, string> = {}): Buffer =>
  frame({ type: 1, flags: 4, stream, payload: callHeaders(adsPath, more) })

/** Sends the first bytes of a message that is never finished, as fast as the server lets them come. */
const sendHalf = (fixture: ServerFixture, length: number, sent: number): Socket => {
  const socket = raw(fixture)
  socket.write(Buffer.concat([opening, head(1)]))
  const windowed = new WindowedSocket(socket)
  const bytes = grpcMessage(Buffer.alloc(length)).subarray(0, sent)
  for (let at = 0; at < bytes.length; at += 16_384)
    windowed.write(frame({ type: 0, stream: 1, payload: bytes.subarray(at, at + 16_384) }))
  return socket
}

const acknowledged = frame({ type: 4, flags: 1 })

describe('what gRPC and HTTP/2 refuse below the server is counted with its reason:', () => {
  test('a request larger than allowed, once, and nothing for those that the server refuses itself', async () => {
    const fixture = await start({ limits: { maxRequestBytes: 1_000 } })
    const { counters } = fixture.server
    const { call, ended } = callOf(fixture, adsPath)
    call.write(Buffer.alloc(1_001))
    expect(await ended).toMatchObject({ code: status.RESOURCE_EXHAUSTED })
    await fixture.until(() => counters.refusals.limit > 0)
    const garbage = callOf(fixture, adsPath)
    garbage.call.write(Buffer.from('ffffffff', 'hex'))
    expect(await garbage.ended).toMatchObject({ code: status.INVALID_ARGUMENT })
    await fixture.until(() => counters.streams === 0 && fixture.server.kept.http2Streams === 0)
    expect(counters.refusals).toMatchObject({ limit: 1, invalid: 1, internal: 0 })
  })

  test('a message that grows too large when it is decompressed, and one that does not decompress', async () => {
    const fixture = await start({ limits: { maxRequestBytes: 10_000 } })
    const { refusals } = fixture.server.counters
    const bomb = gzipSync(Buffer.alloc(1_000_000))
    const message = (payload: Buffer): Buffer =>
      frame({ type: 0, stream: 1, payload: grpcMessage(payload, 1) })
    raw(fixture).write(Buffer.concat([opening, head(1, { 'grpc-encoding': 'gzip' }), message(bomb)]))
    await fixture.until(() => refusals.limit === 1)
    const broken = Buffer.from('this is no gzip')
    raw(fixture).write(Buffer.concat([opening, head(1, { 'grpc-encoding': 'gzip' }), message(broken)]))
    await fixture.until(() => refusals.invalid === 1)
    expect(refusals).toMatchObject({ limit: 1, invalid: 1, internal: 0 })
  })

  test('a method that nobody has, also beside one of another service', async () => {
    const fixture = await start()
    const { ended } = callOf(fixture, '/no.such/Method')
    expect(await ended).toMatchObject({ code: status.UNIMPLEMENTED })
    await fixture.until(() => fixture.server.counters.refusals.invalid === 1)
  })

  test('bytes that are no HTTP/2, and frames that make no sense', async () => {
    const fixture = await start()
    const { refusals } = fixture.server.counters
    raw(fixture).write(Buffer.alloc(100, 'x'))
    await fixture.until(() => refusals.invalid === 1)
    raw(fixture).write(Buffer.concat([opening, frame({ type: 0, stream: 0, payload: Buffer.alloc(5) })]))
    await fixture.until(() => refusals.invalid === 2)
  })

  test('more streams on one connection than it was told', async () => {
    const fixture = await start({ limits: { maxStreamsPerConnection: 4 } })
    const { refusals } = fixture.server.counters
    const socket = raw(fixture)
    const closed = once(socket, 'close')
    socket.write(Buffer.concat([opening, acknowledged, ...[1, 3, 5, 7].map(stream => head(stream))]))
    await fixture.until(() => fixture.server.counters.opened === 4)
    socket.write(head(9))
    await closed
    await fixture.until(() => refusals.invalid === 1)
    await fixture.until(() => fixture.server.counters.streams === 0)
    expect(fixture.server.counters.opened).toBe(4)
  })

  test('more connections than allowed', async () => {
    const fixture = await start({ limits: { maxConnections: 1 } })
    const first = raw(fixture)
    first.write(Buffer.concat([opening, head(1)]))
    await fixture.until(() => fixture.server.counters.streams === 1)
    await once(raw(fixture), 'close')
    expect(fixture.server.counters.refusals.limit).toBe(1)
  })

  test('nothing of clients that come and go, and of deadlines that they set themselves', async () => {
    const fixture = await start()
    const client = fixture.connect('good/1')
    client.send({ typeUrl: endpointType, resourceNamesSubscribe: ['a'] })
    await client.take()
    client.close()
    raw(fixture).end(opening)
    const socket = raw(fixture)
    socket.write(Buffer.concat([opening, head(1, { 'grpc-timeout': '1m' })]))
    await fixture.until(() => fixture.server.counters.opened === 2 && fixture.server.counters.streams === 0)
    socket.destroy()
    await fixture.until(() => fixture.server.kept.http2Streams === 0)
    expect(fixture.server.counters.refused).toBe(0)
    expect(fixture.server.counters.refusals.internal).toBe(0)
  })

  test('in the log, in a bounded number of lines', async () => {
    const lines: string[] = []
    const logger: Logger = {
      ...silentLogger,
      warn: (_fields, message) => {
        lines.push(message)
      },
    }
    const fixture = await start({ logger })
    for (let count = 1; count <= 60; count += 1) {
      raw(fixture).write(Buffer.alloc(100, 'x'))
      await fixture.until(() => fixture.server.counters.refusals.invalid === count)
    }
    expect(lines).toHaveLength(50)
    expect(lines[0]).toBe('refused a connection')
  })
})

describe('requests that do not come whole', () => {
  test('end their streams after a while, and no stream that waits between messages', async () => {
    const fixture = await start({ timings: { messageMs: 100 } })
    const quiet = fixture.connect('quiet/1')
    quiet.send({ typeUrl: endpointType, resourceNamesSubscribe: ['a'] })
    await quiet.take()
    const { call, ended } = callOf(fixture, adsPath)
    call.write(greeting)
    await once(call, 'data')
    sendHalf(fixture, 1_000, 500)
    await fixture.until(() => fixture.server.counters.opened === 3)
    await fixture.until(() => fixture.server.counters.refusals.limit === 1)
    await fixture.until(() => fixture.server.counters.streams === 2)
    call.end()
    expect((await ended).code).toBe(status.OK)
    fixture.put(resource(endpointType, 'a', 'second'))
    expect((await quiet.take()).resources).toHaveLength(1)
  })

  test('are kept within a budget of all streams, and a whole one gets through beside them', async () => {
    const halves = 30
    const each = 500_000
    const fixture = await start({
      limits: { maxReceivedBytes: 2_000_000 },
      // Only patience may end them.
      timings: { patienceMs: 100, messageMs: 3_600_000 },
    })
    let most = 0
    const { server } = fixture
    for (let count = 1; count <= halves; count += 1) {
      sendHalf(fixture, each, each - 1)
      await fixture.until(() => server.counters.opened === count)
    }
    const client = fixture.connect('good/1')
    const names = Array.from({ length: 20_000 }, (_, index) => `a-name-that-nobody-has-${index}`)
    client.send({ typeUrl: endpointType, resourceNamesSubscribe: ['a', ...names] })
    await fixture.until(() => {
      most = Math.max(most, server.kept.receivedBytes)
      return server.counters.responses > 0
    })
    expect((await client.take()).resources).toHaveLength(1)
    // One message may exceed the budget.
    expect(most).toBeLessThan(2_000_000 + each)
    expect(most).toBeGreaterThan(1_000_000)
    expect(server.counters.refusals.limit).toBeGreaterThan(0)
    await fixture.until(() => server.kept.receivedBytes < 2_000_000)
  })

  test('are forgotten with their stream', async () => {
    const fixture = await start()
    const socket = sendHalf(fixture, 500_000, 66_000)
    await fixture.until(() => fixture.server.kept.receivedBytes > 0)
    socket.destroy()
    await fixture.until(
      () => fixture.server.kept.receivedBytes === 0 && fixture.server.kept.http2Streams === 0,
    )
  })
})

test('responses that nobody reads are kept within a budget of all streams, and others get theirs', async () => {
  const big = 600_000
  const fixture = await start({ limits: { maxQueuedBytes: 3_000_000 }, timings: { patienceMs: 100 } })
  fixture.put(resource(endpointType, 'a', 'x'.repeat(big)))
  const noWindow = frame({ type: 4, payload: Buffer.from([0, 4, 0, 0, 0, 0]) })
  const { server } = fixture
  const message = frame({ type: 0, stream: 1, payload: grpcMessage(greeting) })
  const clients = 20
  let most = 0
  for (let count = 1; count <= clients; count += 1) {
    raw(fixture).write(Buffer.concat([opening, noWindow, head(1), message]))
    await fixture.until(() => server.counters.requests === count)
    most = Math.max(most, server.kept.queuedBytes)
  }
  const good = fixture.connect('good/1')
  good.send({ typeUrl: endpointType, resourceNamesSubscribe: ['a'] })
  expect((await good.take()).resources).toHaveLength(1)
  expect(most).toBeLessThanOrEqual(3_000_000 + big)
  expect(most).toBeGreaterThan(3_000_000 - big)
  expect(server.counters.refusals.limit).toBeGreaterThan(0)
  // Those that had to go have left nothing behind.
  expect(server.kept.http2Streams).toBe(server.counters.streams)
  expect(server.counters.streams).toBeLessThan(clients)
  fixture.put(resource(endpointType, 'a', 'small'))
  expect((await good.take()).resources).toHaveLength(1)
})
