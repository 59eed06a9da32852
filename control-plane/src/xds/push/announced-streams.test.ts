import { expect, test } from 'vitest'
import type { DeltaClient } from '../testing/delta-client.ts'
import { resource, ServerFixture } from '../testing/server-fixture.ts'
import { endpointType } from '../type-urls.ts'

/** More than are told at once. */
const many = 300

const connected = async (fixture: ServerFixture): Promise<DeltaClient[]> => {
  const clients = Array.from({ length: many }, (_, index) => fixture.connect(`web/${index}`))
  await Promise.all(
    clients.map(async client => {
      client.send({ typeUrl: endpointType, resourceNamesSubscribe: ['a'] })
      client.ack(await client.next())
    }),
  )
  await fixture.until(() => fixture.server.counters.acks === many)
  return clients
}

test('a stream that has not been told yet is behind for whoever asks, and gets each version once', async () => {
  await using fixture = await ServerFixture.start()
  fixture.put(resource(endpointType, 'a', '1'))
  const clients = await connected(fixture)
  const { server, source } = fixture
  const collected = server.book.collect(() => undefined)
  collected.take()

  fixture.put(resource(endpointType, 'a', '2'))
  // One stream after the other, the last told first.
  for (const index of [many - 1, 150, 0]) {
    expect(server.book.stream(`web/${index}`)).toMatchObject({ inSync: false })
    expect(server.book.glance(`web/${index}`)?.answeredRevision).toBe(source.revision() - 1)
  }
  expect(collected.take().size).toBe(many)
  const followed = server.follow(source.revision(), () => undefined)
  expect(followed.report()).toMatchObject({ touched: many, acked: 0, pending: many })

  const last = clients.at(-1)
  last?.close()
  await fixture.until(() => followed.report().disconnected === 1)
  const rest = clients.slice(0, -1)
  await Promise.all(
    rest.map(async client => {
      const response = await client.next()
      expect(response.resources.map(({ name }) => name)).toEqual(['a'])
      client.ack(response)
    }),
  )
  await fixture.until(() => followed.complete)
  expect(followed.report()).toMatchObject({ touched: many, acked: many - 1, pending: 0, disconnected: 1 })
  expect(server.counters.responses).toBe(many + many - 1)
  expect(await server.figures()).toMatchObject({ fanOut: 0 })
  collected.end()
}, 30_000)

test('a revision that is followed before it is applied is complete only when all have ACKed', async () => {
  await using fixture = await ServerFixture.start()
  fixture.put(resource(endpointType, 'a', '1'))
  const clients = await connected(fixture)
  const followed = fixture.server.follow(fixture.source.revision() + 1, () => undefined)
  fixture.put(resource(endpointType, 'a', '2'))
  expect(followed.report()).toMatchObject({ touched: many, pending: many })
  for (const client of clients) {
    expect(followed.complete).toBe(false)
    client.ack(await client.next())
  }
  await fixture.until(() => followed.complete)
  expect(followed.report()).toMatchObject({ touched: many, acked: many })
}, 30_000)
