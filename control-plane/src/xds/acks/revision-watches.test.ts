import { expect, test } from 'vitest'
import type { DeltaClient } from '../testing/delta-client.ts'
import { resource, ServerFixture } from '../testing/server-fixture.ts'
import { clusterType, endpointType } from '../type-urls.ts'

/** Connected, with its clusters ACKed. */
const subscribed = async (
  fixture: ServerFixture,
  node: string,
  typeUrl = clusterType,
): Promise<DeltaClient> => {
  const client = fixture.connect(node)
  client.send({ typeUrl, ...(typeUrl === clusterType ? {} : { resourceNamesSubscribe: ['a'] }) })
  await client.take()
  await client.settle()
  return client
}

/** Follows what is applied next; `changed` resolves with the next change of its report. */
const follow = (fixture: ServerFixture, revision = fixture.source.revision() + 1) => {
  let changes = 0
  const followed = fixture.server.follow(revision, () => {
    changes += 1
  })
  return {
    followed,
    settled: async () => {
      const before = changes
      await fixture.until(() => changes > before)
      return followed.report()
    },
  }
}

test('a revision counts whom it touches, who has ACKed it and who has refused it, in its own words', async () => {
  await using fixture = await ServerFixture.start()
  fixture.put(resource(clusterType, 'a'), resource(endpointType, 'b'))
  const [good, bad, idle] = [
    await subscribed(fixture, 'web/good'),
    await subscribed(fixture, 'web/bad'),
    await subscribed(fixture, 'web/idle', endpointType),
  ]
  const { followed } = follow(fixture)
  expect(followed.report()).toMatchObject({ state: 'ahead', touched: 0 })
  fixture.put(resource(clusterType, 'a', '2'))
  expect(followed.report()).toMatchObject({
    state: 'applied',
    touched: 2,
    pending: 2,
    waiting: [
      { node: 'web/good', typeUrls: [clusterType] },
      { node: 'web/bad', typeUrls: [clusterType] },
    ],
  })
  good.ack(await good.next())
  await fixture.until(() => followed.report().acked === 1)
  expect(followed.complete).toBe(false)
  bad.nack(await bad.next(), 'no such thing')
  await fixture.until(() => followed.complete)
  expect(followed.report()).toMatchObject({
    touched: 2,
    acked: 1,
    nacked: 1,
    pending: 0,
    nacks: [{ node: 'web/bad', typeUrl: clusterType, names: ['a'], message: 'no such thing' }],
  })
  // Asked later, the same is found.
  const later = fixture.server.follow(fixture.source.revision(), () => undefined)
  expect(later.report()).toEqual(followed.report())
  idle.close()
})

test('what a newer revision has overtaken is ACKed with it', async () => {
  await using fixture = await ServerFixture.start()
  fixture.put(resource(clusterType, 'a'))
  const client = await subscribed(fixture, 'web/1', endpointType)
  fixture.put(resource(endpointType, 'a', '1'))
  const first = await client.next()
  fixture.put(resource(endpointType, 'a', '2'))
  const older = follow(fixture, fixture.source.revision()).followed
  fixture.put(resource(endpointType, 'a', '3'))
  expect(older.report()).toMatchObject({ touched: 1, pending: 1 })
  client.ack(first)
  const second = await client.next()
  expect(second.resources.map(({ name }) => name)).toEqual(['a'])
  expect(older.complete).toBe(false)
  client.ack(second)
  await fixture.until(() => older.complete)
  expect(older.report()).toMatchObject({ touched: 1, acked: 1, pending: 0 })
})

test('another refusal of the same sidecar is not counted against a revision that it has ACKed', async () => {
  await using fixture = await ServerFixture.start()
  fixture.put(resource(clusterType, 'a'), resource(endpointType, 'a'))
  const client = await subscribed(fixture, 'web/1')
  client.send({ typeUrl: endpointType, resourceNamesSubscribe: ['a'] })
  await client.take()
  await client.settle()
  fixture.put(resource(clusterType, 'a', 'bad'))
  client.nack(await client.next(), 'no')
  // The refused cluster is taken back.
  await client.take()
  await client.settle()
  const { followed } = follow(fixture)
  fixture.put(resource(endpointType, 'a', '2'))
  await client.take()
  await fixture.until(() => followed.complete)
  expect(followed.report()).toMatchObject({ touched: 1, acked: 1, nacked: 0 })
})

test('a sidecar that ends before it has answered is disconnected, and one that comes later is not touched', async () => {
  await using fixture = await ServerFixture.start()
  fixture.put(resource(clusterType, 'a'))
  const client = await subscribed(fixture, 'web/1')
  const { followed } = follow(fixture)
  fixture.put(resource(clusterType, 'a', '2'))
  expect(followed.report()).toMatchObject({ touched: 1, pending: 1 })
  client.close()
  await fixture.until(() => followed.complete)
  expect(followed.report()).toMatchObject({ touched: 1, pending: 0, disconnected: 1, gone: ['web/1'] })
  await subscribed(fixture, 'web/2')
  const later = fixture.server.follow(fixture.source.revision(), () => undefined)
  expect(later.report()).toMatchObject({ touched: 1, acked: 0, disconnected: 1 })
})

test('a revision that touches nobody is complete when it is applied, and not before', async () => {
  await using fixture = await ServerFixture.start()
  fixture.put(resource(clusterType, 'a'))
  await subscribed(fixture, 'web/1', endpointType)
  const { followed } = follow(fixture)
  expect(followed.complete).toBe(false)
  fixture.put(resource(clusterType, 'a', '2'))
  expect(followed.complete).toBe(true)
  expect(followed.report()).toMatchObject({ state: 'applied', touched: 0 })
})

test('a sidecar that has what the revision says already is not touched by it', async () => {
  await using fixture = await ServerFixture.start()
  fixture.put(resource(clusterType, 'a'))
  const client = await subscribed(fixture, 'web/1')
  // A name of which is told although its resource is as before.
  const same = follow(fixture)
  fixture.source.apply({
    put: [resource(clusterType, 'b')],
    remove: [{ typeUrl: clusterType, name: 'b' }],
  })
  expect(same.followed.report()).toMatchObject({ state: 'applied', touched: 0 })
  expect(same.followed.complete).toBe(true)
  expect(await client.settle()).toEqual([])
})

test('what is held back because it was refused before is refused', async () => {
  await using fixture = await ServerFixture.start()
  fixture.put(resource(endpointType, 'a'))
  const client = await subscribed(fixture, 'web/1', endpointType)
  const bad = fixture.source.revision() + 1
  fixture.put(resource(endpointType, 'a', 'bad'))
  client.nack(await client.next(), 'no')
  await client.settle()
  const followed = [bad, bad + 1].map(revision => follow(fixture, revision).followed)
  // The name is touched again, and its resource is as before.
  fixture.source.apply({
    put: [resource(endpointType, 'a', 'other'), resource(endpointType, 'a', 'bad')],
  })
  for (const one of followed) {
    expect(one.complete).toBe(true)
    expect(one.report()).toMatchObject({ touched: 1, nacked: 1, nacks: [{ node: 'web/1', message: 'no' }] })
  }
})

test('a sidecar with a stream for each type counts once, and is done when all of them are', async () => {
  await using fixture = await ServerFixture.start()
  fixture.put(resource(clusterType, 'a'), resource(endpointType, 'a'))
  const clusters = await subscribed(fixture, 'web/1')
  const endpoints = await subscribed(fixture, 'web/1', endpointType)
  const { followed } = follow(fixture)
  fixture.put(resource(clusterType, 'a', '2'), resource(endpointType, 'a', '2'))
  expect(followed.report()).toMatchObject({
    touched: 1,
    pending: 1,
    waiting: [{ node: 'web/1', typeUrls: [clusterType, endpointType] }],
  })
  clusters.ack(await clusters.next())
  await clusters.settle()
  expect(followed.complete).toBe(false)
  endpoints.ack(await endpoints.next())
  await fixture.until(() => followed.complete)
  expect(followed.report()).toMatchObject({ touched: 1, acked: 1 })
})

test('a report names some of those who wait, and counts all', async () => {
  await using fixture = await ServerFixture.start()
  fixture.put(resource(clusterType, 'a'))
  const clients = await Promise.all(Array.from({ length: 25 }, (_, n) => subscribed(fixture, `web/${n}`)))
  const { followed, settled } = follow(fixture)
  fixture.put(resource(clusterType, 'a', '2'))
  const report = followed.report()
  expect([report.touched, report.pending, report.waiting.length]).toEqual([25, 25, 20])
  await clients[0]?.take()
  expect((await settled()).acked).toBe(1)
})
