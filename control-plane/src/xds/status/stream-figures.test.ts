import { expect, test } from 'vitest'
import { clusterType, endpointType } from '../type-urls.ts'
import { resource, ServerFixture } from '../testing/server-fixture.ts'
import { StreamClient, deltaCodec } from '../testing/stream-client.ts'

const ads = '/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources'

const count = (histogram: { readonly counts: readonly number[] }) =>
  histogram.counts.reduce((sum, each) => sum + each, 0)

test('streams are told by state, subscriptions and waiting changes by type', async () => {
  await using fixture = await ServerFixture.start()
  const { server } = fixture
  fixture.put(resource(endpointType, 'a'))
  using silent = new StreamClient(fixture.address, ads, deltaCodec)
  using client = new StreamClient(fixture.address, ads, deltaCodec)
  const node = { id: 'web/1', cluster: 'web' }
  client.send({ node, typeUrl: endpointType, resourceNamesSubscribe: ['a', 'b'] })
  const first = await client.next()
  await expect.poll(async () => (await server.figures()).delta.new, { timeout: 10_000 }).toBe(1)
  expect((await server.figures()).delta).toEqual({ new: 1, rejected: 0, stuck: 0, pending: 1, 'in-sync': 0 })
  expect((await server.figures()).types.get('ClusterLoadAssignment')).toEqual({
    names: 2,
    wildcards: 0,
    waiting: 0,
    unanswered: 1,
  })
  // While it has not answered, changes wait for it, and the second of a name replaces the first.
  fixture.put(resource(endpointType, 'a', '2'))
  fixture.put(resource(endpointType, 'a', '3'))
  expect((await server.figures()).types.get('ClusterLoadAssignment')?.waiting).toBe(1)
  const counters = server.counters.of(endpointType)
  expect(counters).toMatchObject({ merged: 1, dropped: 0, removed: 1 })
  client.send({ typeUrl: endpointType, responseNonce: first.nonce })
  const second = await client.next()
  expect(count(counters.ack)).toBe(1)
  expect(count(counters.convergence)).toBe(0)
  client.send({ typeUrl: endpointType, responseNonce: second.nonce })
  await expect.poll(async () => (await server.figures()).delta['in-sync'], { timeout: 10_000 }).toBe(1)
  // Both changes are converged with the ACK of the later one.
  expect([count(counters.ack), count(counters.convergence)]).toEqual([2, 2])
  client.send({ typeUrl: clusterType })
  await expect
    .poll(async () => (await server.figures()).types.get('Cluster')?.wildcards, { timeout: 10_000 })
    .toBe(1)
  silent[Symbol.dispose]()
  await expect.poll(async () => (await server.figures()).delta.new, { timeout: 10_000 }).toBe(0)
})

test('a change that is taken back while it waits is dropped, and a refusal is no convergence', async () => {
  await using fixture = await ServerFixture.start()
  const { server } = fixture
  const counters = server.counters.of(endpointType)
  fixture.put(resource(endpointType, 'a'), resource(endpointType, 'b'))
  using client = new StreamClient(fixture.address, ads, deltaCodec)
  client.send({ node: { id: 'web/1' }, typeUrl: endpointType, resourceNamesSubscribe: ['a', 'b'] })
  const first = await client.next()
  client.send({ typeUrl: endpointType, responseNonce: first.nonce })
  await fixture.until(() => counters.acks === 1)
  fixture.put(resource(endpointType, 'a', '2'))
  const second = await client.next()
  // While the change of a waits for its answer, b changes to and fro.
  fixture.put(resource(endpointType, 'b', '2'))
  fixture.put(resource(endpointType, 'b'))
  const errorDetail = { code: 3, message: 'no good' }
  client.send({ typeUrl: endpointType, responseNonce: second.nonce, errorDetail })
  await expect.poll(async () => (await server.figures()).delta.rejected, { timeout: 10_000 }).toBe(1)
  expect(counters).toMatchObject({ nacks: 1, merged: 1, dropped: 1 })
  expect(count(counters.convergence)).toBe(0)
})

test('types that nobody serves are counted together, however many a client asks for', async () => {
  await using fixture = await ServerFixture.start()
  using client = new StreamClient(fixture.address, ads, deltaCodec)
  for (const typeUrl of ['some.Type', 'another.Type']) {
    client.send({ node: { id: 'web/1' }, typeUrl, resourceNamesSubscribe: ['x'] })
    const { nonce } = await client.next()
    client.send({ typeUrl, responseNonce: nonce })
  }
  await fixture.until(() => fixture.server.counters.of('a.third.Type').acks === 2)
  expect(fixture.server.counters.types).toHaveLength(7)
  expect((await fixture.server.figures()).types.get('other')?.names).toBe(2)
})
