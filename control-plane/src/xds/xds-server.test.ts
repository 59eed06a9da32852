import { Client, credentials, status, type StatusObject } from '@grpc/grpc-js'
import { expect, test } from 'vitest'
import { systemClock } from '../runtime/clock.ts'
import { silentLogger } from '../runtime/logger.ts'
import { MemorySource } from './memory-source.ts'
import { resource, ServerFixture } from './testing/server-fixture.ts'
import { clusterType, endpointType, listenerType, routeType } from './type-urls.ts'

const bodyOf = (response: { resources: { resource?: { value: Uint8Array } | undefined }[] }): string[] =>
  response.resources.map(({ resource: any }) => Buffer.from(any?.value ?? []).toString())

/** A server with a client that holds endpoints `a`. */
async function withEndpoints(options: Parameters<typeof ServerFixture.start>[0] = {}) {
  const fixture = await ServerFixture.start(options)
  fixture.put(resource(endpointType, 'a', '1'))
  const client = fixture.connect('web/1')
  client.send({ typeUrl: endpointType, resourceNamesSubscribe: ['a'] })
  await client.take()
  await client.settle()
  return { fixture, client }
}

/** Raw calls of ADS: for bytes that no generated client would send. */
function rawCall(fixture: ServerFixture, method = 'DeltaAggregatedResources') {
  const { host, port } = fixture.address
  const client = new Client(`${host}:${port}`, credentials.createInsecure())
  const identity = (bytes: Buffer): Buffer => bytes
  const path = `/envoy.service.discovery.v3.AggregatedDiscoveryService/${method}`
  const call = client.makeBidiStreamRequest(path, identity, identity)
  const ended = new Promise<StatusObject>(resolve => {
    call.on('status', (end: StatusObject) => {
      client.close()
      resolve(end)
    })
  })
  call.on('error', () => undefined)
  call.on('data', () => undefined)
  return { call, ended }
}

test('a stream gets what it subscribed to, then each change, and its status tells', async () => {
  await using fixture = await ServerFixture.start()
  fixture.put(resource(clusterType, 'a', 'v1'), resource(endpointType, 'a', 'e1'))
  const client = fixture.connect('web/1')
  client.send({ typeUrl: clusterType })
  const first = await client.take()
  expect([first.typeUrl, first.resources.map(({ name }) => name), bodyOf(first)]).toEqual([
    clusterType,
    ['a'],
    ['v1'],
  ])
  client.send({ typeUrl: endpointType, resourceNamesSubscribe: ['a'] })
  expect(bodyOf(await client.take())).toEqual(['e1'])
  expect(await client.settle()).toEqual([])
  await fixture.until(() => fixture.server.book.stream('web/1')?.inSync === true)
  fixture.put(resource(endpointType, 'a', 'e2'))
  expect(fixture.server.book.stream('web/1')).toMatchObject({
    syncedRevision: 1,
    answeredRevision: 1,
    inSync: false,
  })
  expect(bodyOf(await client.take())).toEqual(['e2'])
  fixture.source.apply({ remove: [{ typeUrl: endpointType, name: 'a' }] })
  expect((await client.take()).removedResources).toEqual(['a'])
  await fixture.until(() => fixture.server.book.stream('web/1')?.inSync === true)
  expect(fixture.server.book.stream('web/1')).toMatchObject({
    syncedRevision: 3,
    answeredRevision: 3,
    nacks: [],
  })
  expect(fixture.server.book.resources('web/1').find(({ typeUrl }) => typeUrl === clusterType)).toMatchObject(
    {
      name: 'a',
      sentVersion: first.resources[0]?.version,
      ackedVersion: first.resources[0]?.version,
      revision: 1,
      nack: null,
    },
  )
  expect(fixture.server.book.resources('unknown')).toEqual([])
})

test('X9 a first message without a node id, and a message without a type, are refused', async () => {
  await using fixture = await ServerFixture.start()
  const nameless = fixture.connect('')
  nameless.send({ typeUrl: clusterType })
  expect(await nameless.ended).toMatchObject({
    code: status.INVALID_ARGUMENT,
    details: 'the first message of a stream must have a node with an id',
  })
  const typeless = fixture.connect('web/1')
  typeless.send({ resourceNamesSubscribe: ['a'] })
  expect(await typeless.ended).toMatchObject({
    code: status.INVALID_ARGUMENT,
    details: 'type_url is required on ADS',
  })
  expect(fixture.server.counters).toMatchObject({ refused: 2, streams: 0, opened: 2 })
  expect([fixture.server.book.streams(), fixture.source.views]).toEqual([[], 0])
})

test('X9 the node is read from the first message only', async () => {
  await using fixture = await ServerFixture.start()
  const client = fixture.connect('web/1')
  client.send({ typeUrl: clusterType })
  await client.take()
  client.send({ typeUrl: listenerType, node: { id: 'other/1' } })
  await client.take()
  expect(fixture.server.book.streams().map(({ node }) => node)).toEqual(['web/1'])
})

test('X12 nothing is answered before the source has loaded, then everything', async () => {
  const source = new MemorySource({ loaded: false })
  await using fixture = await ServerFixture.start({ source })
  const client = fixture.connect()
  client.send({ typeUrl: clusterType })
  await fixture.until(() => fixture.server.counters.opened === 1)
  // A server beside it answers a request that was sent later.
  await using other = await ServerFixture.start()
  const later = other.connect()
  later.send({ typeUrl: clusterType })
  await later.take()
  expect(fixture.server.counters).toMatchObject({ requests: 0, responses: 0 })
  fixture.put(resource(clusterType, 'a'))
  source.load()
  expect((await client.take()).resources.map(({ name }) => name)).toEqual(['a'])
})

test('X12 a request that came while the source was loading and left again is forgotten', async () => {
  const source = new MemorySource({ loaded: false })
  await using fixture = await ServerFixture.start({ source })
  const client = fixture.connect()
  client.send({ typeUrl: clusterType })
  await fixture.until(() => fixture.server.counters.streams === 1)
  client.close()
  await fixture.until(() => fixture.server.counters.streams === 0)
  source.load()
  await source.ready()
  expect(fixture.server.counters.requests).toBe(0)
})

test('X14 a NACK with a stale nonce is counted and does nothing', async () => {
  const { fixture, client } = await withEndpoints()
  await using _ = fixture
  client.send({ typeUrl: endpointType, responseNonce: 'stale', errorDetail: { code: 13, message: 'old' } })
  expect(await client.settle()).toEqual([])
  expect(fixture.server.book.stream('web/1')?.nacks).toEqual([])
  expect(fixture.server.counters).toMatchObject({ staleAnswers: 1, nacks: 0 })
})

test('X16 a NACK shows in the status, in the log with the words of the client, and in the counters', async () => {
  const lines: { fields: object; message: string }[] = []
  const logger = {
    ...silentLogger,
    warn: (fields: object, message: string) => lines.push({ fields, message }),
  }
  const { fixture, client } = await withEndpoints({ logger })
  await using _ = fixture
  const bad = resource(endpointType, 'a', 'bad')
  fixture.put(bad)
  client.nack(await client.next(), 'a is malformed')
  expect(await client.settle()).toEqual([])
  await fixture.until(() => fixture.server.book.stream('web/1')?.answeredRevision === 2)
  const version = fixture.server.book.resources('web/1').find(({ name }) => name === 'a')?.nack?.version
  expect(fixture.server.book.stream('web/1')).toMatchObject({
    inSync: false,
    syncedRevision: 1,
    answeredRevision: 2,
    nacks: [{ typeUrl: endpointType, names: ['a'], message: 'a is malformed', version, revision: 2 }],
  })
  expect(lines).toEqual([
    {
      message: 'the sidecar refused a response',
      fields: {
        node: 'web/1',
        stream: 1,
        typeUrl: endpointType,
        resources: ['a'],
        count: 1,
        version,
        reason: 'a is malformed',
      },
    },
  ])
  expect(fixture.server.counters.nacks).toBe(1)
  fixture.put(resource(endpointType, 'a', 'good'))
  await client.take()
  await fixture.until(() => fixture.server.book.stream('web/1')?.inSync === true)
})

test('X19 a client that takes nothing costs bounded memory, and is closed and cut off when stuck', async () => {
  const { fixture, client } = await withEndpoints({ timings: { stuckMs: 300 } })
  await using _ = fixture
  client.pause()
  const big = 'x'.repeat(200_000)
  for (let change = 0; change < 50; change += 1) fixture.put(resource(endpointType, 'a', `${big}${change}`))
  // One unanswered response, however many changes: the rest has merged.
  expect(fixture.server.counters.bytes).toBeLessThan(1_000_000)
  await fixture.until(() => fixture.server.counters.closedStuck === 1)
  await fixture.until(() => fixture.server.counters.streams === 0)
  const { code } = await client.ended
  expect([status.RESOURCE_EXHAUSTED, status.UNAVAILABLE, status.CANCELLED]).toContain(code)
})

test('X19 a client that takes all and never answers is closed with RESOURCE_EXHAUSTED', async () => {
  await using fixture = await ServerFixture.start({ timings: { stuckMs: 200 } })
  fixture.put(resource(endpointType, 'a'))
  const client = fixture.connect()
  client.send({ typeUrl: endpointType, resourceNamesSubscribe: ['a'] })
  await client.next()
  expect(await client.ended).toMatchObject({ code: status.RESOURCE_EXHAUSTED })
  expect(fixture.server.counters.closedStuck).toBe(1)
})

test('X19 silence about clusters closes nothing', async () => {
  await using fixture = await ServerFixture.start({ timings: { stuckMs: 100 } })
  fixture.put(resource(clusterType, 'a'))
  const client = fixture.connect()
  client.send({ typeUrl: clusterType })
  await client.next()
  // One that is silent about endpoints, and began later, is closed first.
  fixture.put(resource(endpointType, 'a'))
  const other = fixture.connect('web/2')
  other.send({ typeUrl: endpointType, resourceNamesSubscribe: ['a'] })
  await other.next()
  expect(await other.ended).toMatchObject({ code: status.RESOURCE_EXHAUSTED })
  expect(fixture.server.counters.closedStuck).toBe(1)
  await fixture.until(() => fixture.server.counters.streams === 1)
  expect(fixture.server.book.streams().map(({ node }) => node)).toEqual(['web/1'])
})

test('X20 over the wire: cluster and endpoints, then the route when the cluster is ACKed', async () => {
  await using fixture = await ServerFixture.start()
  const dependsOn = (typeUrl: string, name: string) => [{ typeUrl, name }]
  fixture.put(resource(clusterType, 'a', '1', dependsOn(endpointType, 'a')), resource(endpointType, 'a'))
  const client = fixture.connect()
  client.send({ typeUrl: clusterType })
  await client.take()
  client.send({ typeUrl: endpointType, resourceNamesSubscribe: ['a'] })
  await client.take()
  client.send({ typeUrl: routeType, resourceNamesSubscribe: ['r'] })
  await client.take()
  fixture.put(
    resource(routeType, 'r', '2', [...dependsOn(clusterType, 'a'), ...dependsOn(clusterType, 'b')]),
    resource(clusterType, 'a', '2', dependsOn(endpointType, 'a')),
    resource(clusterType, 'b', '1', dependsOn(endpointType, 'b')),
  )
  const clusters = await client.next()
  const endpoints = await client.take()
  expect([clusters.typeUrl, endpoints.typeUrl]).toEqual([clusterType, endpointType])
  expect(await client.settle()).toEqual([])
  client.ack(clusters)
  expect((await client.take()).typeUrl).toBe(routeType)
})

test('X20 the waits end by time over the wire, too', async () => {
  await using fixture = await ServerFixture.start({
    timings: { clusterAnswerMs: 5, clusterStuckMs: 10_000, orderMs: 50 },
  })
  const client = fixture.connect()
  client.send({ typeUrl: clusterType })
  await client.take()
  client.send({ typeUrl: routeType, resourceNamesSubscribe: ['r'] })
  await client.take()
  fixture.put(
    resource(clusterType, 'a'),
    resource(routeType, 'r', '1', [{ typeUrl: clusterType, name: 'a' }]),
  )
  expect((await client.next()).typeUrl).toBe(clusterType)
  fixture.put(resource(clusterType, 'a', '2'))
  // Each has its own time, so on a slow machine either may come first.
  const late = [await client.next(), await client.next()].map(({ typeUrl }) => typeUrl)
  expect(new Set(late)).toEqual(new Set([clusterType, routeType]))
})

test('X22 over the wire: a heartbeat has the TTL, the same version and no body', async () => {
  await using fixture = await ServerFixture.start({ heartbeats: true })
  fixture.put({ ...resource(endpointType, 'a'), ttlMs: 60 })
  const client = fixture.connect()
  client.send({ typeUrl: endpointType, resourceNamesSubscribe: ['a'] })
  const [first] = (await client.take()).resources
  const [heartbeat] = (await client.take()).resources
  const version = first?.version
  expect(first).toMatchObject({ name: 'a', ttl: { nanos: 60_000_000 } })
  expect(heartbeat).toMatchObject({ name: 'a', version, ttl: { nanos: 60_000_000 }, resource: undefined })
})

test('one change to many streams is encoded once, reaches all, and leaves the others alone', async () => {
  await using fixture = await ServerFixture.start()
  fixture.put(resource(endpointType, 'a'), resource(endpointType, 'b'))
  const clients = Array.from({ length: 80 }, (_, index) => fixture.connect(`web/${index}`))
  const other = fixture.connect('other/1')
  other.send({ typeUrl: endpointType, resourceNamesSubscribe: ['b'] })
  await other.take()
  for (const client of clients) client.send({ typeUrl: endpointType, resourceNamesSubscribe: ['a'] })
  await Promise.all(clients.map(client => client.take()))
  const { encodes } = fixture.server.counters
  fixture.put(resource(endpointType, 'a', '2'))
  const responses = await Promise.all(clients.map(client => client.take()))
  expect(fixture.server.counters.encodes).toBe(encodes + 1)
  expect(new Set(responses.map(({ nonce }) => nonce)).size).toBe(1)
  expect(await other.settle()).toEqual([])
  await fixture.until(() => fixture.server.book.streams().every(({ inSync }) => inSync))
})

test('of two streams of a node both are served and the newest has the status', async () => {
  await using fixture = await ServerFixture.start()
  const [older, newer] = [fixture.connect('web/1'), fixture.connect('web/1')]
  for (const client of [older, newer]) {
    client.send({ typeUrl: clusterType })
    await client.take()
  }
  expect(fixture.server.book.streams()).toMatchObject([{ node: 'web/1', stream: 2 }])
  fixture.put(resource(clusterType, 'a'))
  await Promise.all([older.take(), newer.take()])
  newer.close()
  await fixture.until(() => fixture.server.book.stream('web/1')?.stream === 1)
  older.close()
  await fixture.until(() => fixture.server.book.stream('web/1') === undefined)
  expect(fixture.source.views).toBe(0)
})

test('who listens to the status is told when what was refused becomes what the client has, and nothing is sent', async () => {
  const { fixture, client } = await withEndpoints()
  await using _ = fixture
  fixture.put(resource(endpointType, 'a', 'bad'))
  client.nack(await client.next(), 'a is malformed')
  await fixture.until(() => fixture.server.book.stream('web/1')?.nacks.length === 1)
  // Nobody is told for another reason: every answer of the client is in.
  await fixture.until(() => fixture.server.counters.acks === 2)
  const told: string[][] = []
  const end = fixture.server.book.onStatus(nodes => told.push([...nodes]))
  fixture.put(resource(endpointType, 'a', '1'))
  await fixture.until(() => told.length > 0)
  expect(fixture.server.book.stream('web/1')).toMatchObject({ inSync: true, nacks: [] })
  expect(await client.settle()).toEqual([])
  end()
})

test('who listens to the status is told of streams that come, change and go, once per turn', async () => {
  await using fixture = await ServerFixture.start()
  const told: string[][] = []
  const end = fixture.server.book.onStatus(nodes => told.push([...nodes]))
  const client = fixture.connect('web/1')
  client.send({ typeUrl: clusterType })
  await client.take()
  await fixture.until(() => fixture.server.book.stream('web/1')?.inSync === true && told.length >= 2)
  told.length = 0
  fixture.put(resource(clusterType, 'a'))
  const changed = await client.next()
  expect(told).toEqual([['web/1']])
  client.ack(changed)
  await fixture.until(() => told.length === 2)
  expect(fixture.server.book.stream('web/1')?.inSync).toBe(true)
  client.close()
  await fixture.until(() => told.length === 3)
  expect(fixture.server.book.stream('web/1')).toBeUndefined()
  end()
  fixture.connect('web/2').send({ typeUrl: clusterType })
  await fixture.until(() => fixture.server.book.stream('web/2') !== undefined)
  expect(told.length).toBe(3)
})

test('the source may refuse a node', async () => {
  await using fixture = await ServerFixture.start()
  fixture.source.refused.set('evil/1', 'this node may not connect')
  const client = fixture.connect('evil/1')
  client.send({ typeUrl: clusterType })
  expect(await client.ended).toMatchObject({
    code: status.PERMISSION_DENIED,
    details: 'this node may not connect',
  })
})

test('malformed bytes end their own stream only', async () => {
  const { fixture, client } = await withEndpoints()
  await using _ = fixture
  const { call, ended } = rawCall(fixture)
  call.write(Buffer.from([0x0a, 0xff, 0xff]))
  const end = await ended
  expect([end.code, end.details]).toEqual([
    status.INVALID_ARGUMENT,
    expect.stringContaining('malformed request'),
  ])
  expect(await client.settle()).toEqual([])
})

test('a request beyond the size limit, too many names and too many streams are refused', async () => {
  await using fixture = await ServerFixture.start({
    limits: { maxRequestBytes: 1000, maxNames: 3, maxStreams: 3 },
  })
  const large = fixture.connect()
  large.send({ typeUrl: endpointType, resourceNamesSubscribe: ['x'.repeat(2000)] })
  expect(await large.ended).toMatchObject({ code: status.RESOURCE_EXHAUSTED })
  const greedy = fixture.connect()
  greedy.send({ typeUrl: endpointType, resourceNamesSubscribe: ['a', 'b', 'c', 'd'] })
  expect(await greedy.ended).toMatchObject({
    code: status.RESOURCE_EXHAUSTED,
    details: 'more than 3 resource names on one stream',
  })
  await fixture.until(() => fixture.server.counters.streams === 0)
  const clients = Array.from({ length: 4 }, () => fixture.connect())
  const ends = clients.map(client => client.ended)
  for (const client of clients) client.send({ typeUrl: clusterType })
  expect(await Promise.race(ends)).toMatchObject({
    code: status.RESOURCE_EXHAUSTED,
    details: 'more than 3 streams',
  })
})

test('a unary method of REST polling is answered UNIMPLEMENTED', async () => {
  await using fixture = await ServerFixture.start()
  const { host, port } = fixture.address
  const client = new Client(`${host}:${port}`, credentials.createInsecure())
  const identity = (bytes: Buffer): Buffer => bytes
  const path = '/envoy.service.cluster.v3.ClusterDiscoveryService/FetchClusters'
  const code = await new Promise(resolve => {
    client.makeUnaryRequest(path, identity, identity, Buffer.alloc(0), error => {
      resolve(error?.code)
    })
  })
  client.close()
  expect(code).toBe(status.UNIMPLEMENTED)
})

test('when the server stops, streams end with UNAVAILABLE, and a busy port is an error', async () => {
  const { fixture, client } = await withEndpoints()
  await using _ = fixture
  await expect(ServerFixture.start({ listen: fixture.address, clock: systemClock })).rejects.toMatchObject({
    code: 'EADDRINUSE',
  })
  const stopped = fixture.stop()
  expect(await client.ended).toMatchObject({ code: status.UNAVAILABLE })
  await stopped
  expect(fixture.server.counters.streams).toBe(0)
})
