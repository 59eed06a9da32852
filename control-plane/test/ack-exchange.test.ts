import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { AckExchange } from '../src/resources/ack-exchange.ts'
import { systemClock } from '../src/runtime/clock.ts'
import { silentLogger } from '../src/runtime/logger.ts'
import { AckTable } from '../src/store/ack-table.ts'
import type { DeltaClient } from '../src/xds/testing/delta-client.ts'
import { resource, ServerFixture } from '../src/xds/testing/server-fixture.ts'
import { clusterType } from '../src/xds/type-urls.ts'
import { createTestDatabase, type TestDatabase } from './support/database.ts'

let test: TestDatabase
const replicas: TestReplica[] = []
let members: string[] = []

/** The part of a replica that knows about ACKs: an xDS server with clients, and its exchange. */
class TestReplica {
  readonly name: string
  readonly xds: ServerFixture
  readonly exchange: AckExchange
  readonly #abort = new AbortController()
  #running: Promise<void> | undefined

  constructor(name: string, xds: ServerFixture) {
    this.name = name
    this.xds = xds
    this.exchange = new AckExchange({
      replica: name,
      streams: xds.server,
      store: new AckTable({ database: test.database, connection: test.connection, replica: name }),
      members: () => members,
      clock: systemClock,
      logger: silentLogger,
      random: Math.random,
    })
  }

  run(): void {
    this.#running = this.exchange.start(this.#abort.signal)
  }

  async client(node: string): Promise<DeltaClient> {
    const client = this.xds.connect(node)
    client.send({ typeUrl: clusterType })
    await client.take()
    await client.settle()
    return client
  }

  collect(revision: number, timeoutMs: number, until: 'acked' | 'heard' = 'acked') {
    return this.exchange.collect({ revision, timeoutMs, until, gone: new AbortController().signal })
  }

  /** Ends the exchange, waits with it, as when the process ends. */
  async end(): Promise<void> {
    this.#abort.abort()
    await this.#running
  }
}

const replica = async (name: string, { running = true } = {}): Promise<TestReplica> => {
  const one = new TestReplica(name, await ServerFixture.start())
  one.xds.put(resource(clusterType, 'a'))
  if (running) one.run()
  replicas.push(one)
  members = [...members, name]
  return one
}

const change = (text: string, ...all: readonly TestReplica[]): number => {
  for (const { xds } of all) xds.put(resource(clusterType, 'a', text))
  return all[0]?.xds.source.revision() ?? 0
}

/** Rows that are left in the tables of the exchange. */
const rows = async (): Promise<number> => {
  const wanted = await test.database.selectFrom('ack_wanted').select('revision').execute()
  const reports = await test.database.selectFrom('ack_report').select('revision').execute()
  return wanted.length + reports.length
}

beforeEach(async () => {
  test = await createTestDatabase()
})

afterEach(async () => {
  for (const one of replicas.splice(0)) {
    await one.end()
    await one.xds[Symbol.asyncDispose]()
  }
  members = []
  await test.destroy()
})

describe('the ACKs of a revision over two replicas', () => {
  it('are complete when the sidecars of both have answered', async () => {
    const [r1, r2] = [await replica('r1'), await replica('r2')]
    const [own, far] = [await r1.client('web/own'), await r2.client('web/far')]
    const revision = change('2', r1, r2)
    const waiting = r1.collect(revision, 20_000)
    await own.take()
    await r1.xds.until(() => r1.xds.server.book.stream('web/own')?.inSync === true)
    far.nack(await far.next(), 'not this')
    const { complete, answers } = await waiting
    expect(complete).toBe(true)
    expect(answers).toMatchObject([
      { replica: 'r1', report: { touched: 1, acked: 1, nacked: 0 } },
      {
        replica: 'r2',
        report: { touched: 1, acked: 0, nacked: 1, nacks: [{ node: 'web/far', message: 'not this' }] },
      },
    ])
    // Asked for afterwards, at the other replica.
    const later = await r2.collect(revision, 20_000, 'heard')
    expect(later.answers).toMatchObject([
      { replica: 'r2', report: { nacked: 1 } },
      { replica: 'r1', report: { acked: 1 } },
    ])
  })

  it('may be waited for before either replica has applied it', async () => {
    const [r1, r2] = [await replica('r1'), await replica('r2')]
    const far = await r2.client('web/far')
    const waiting = r1.collect(2, 20_000)
    change('2', r1)
    change('2', r2)
    await far.take()
    expect(await waiting).toMatchObject({
      complete: true,
      answers: [
        { replica: 'r1', report: { state: 'applied', touched: 0 } },
        { replica: 'r2', report: { state: 'applied', touched: 1, acked: 1 } },
      ],
    })
  })

  it('are incomplete when the time is over: who is pending is named, and a replica that is silent too', async () => {
    const [r1, r2] = [await replica('r1'), await replica('r2')]
    await replica('mute', { running: false })
    await r2.client('web/far')
    const revision = change('2', r1, r2)
    expect(await r1.collect(revision, 2_000)).toMatchObject({
      complete: false,
      answers: [
        { replica: 'r1', report: { touched: 0 } },
        { replica: 'r2', report: { pending: 1, waiting: [{ node: 'web/far', typeUrls: [clusterType] }] } },
        { replica: 'mute', report: null },
      ],
    })
    // One that ends is no longer waited for.
    members = ['r1']
    expect(await r1.collect(revision, 20_000)).toMatchObject({ complete: true, answers: [{ replica: 'r1' }] })
  })

  it('end with the replica that waits for them', async () => {
    const [r1, r2] = [await replica('r1'), await replica('r2')]
    await r2.client('web/far')
    const revision = change('2', r1, r2)
    const waiting = r1.collect(revision, 60_000)
    await r1.end()
    expect((await waiting).complete).toBe(false)
  })

  it('cost the database nothing while nobody waits, and leave nothing behind for long', async () => {
    const [r1, r2] = [await replica('r1'), await replica('r2')]
    const far = await r2.client('web/far')
    const first = change('2', r1, r2)
    await far.take()
    expect(await rows()).toBe(0)
    await r1.collect(first, 20_000)
    await test.database
      .updateTable('ack_wanted')
      .set({ until: new Date(0).toISOString() })
      .execute()
    await test.database
      .updateTable('ack_report')
      .set({ until: new Date(0).toISOString() })
      .execute()
    const second = change('3', r1, r2)
    await far.take()
    await r1.collect(second, 20_000)
    const left = await test.database.selectFrom('ack_report').select('revision').distinct().execute()
    expect(left).toEqual([{ revision: String(second) }])
  })
})

it('a replica that is alone asks nobody and needs no database', async () => {
  const r1 = await replica('r1', { running: false })
  const client = await r1.client('web/1')
  const revision = change('2', r1)
  const waiting = r1.collect(revision, 20_000)
  await client.take()
  expect(await waiting).toMatchObject({ complete: true, answers: [{ report: { acked: 1 } }] })
  expect(await rows()).toBe(0)
})

it('only so many may wait at once', async () => {
  const r1 = await replica('r1', { running: false })
  const places = Array.from({ length: 128 }, () => r1.exchange.reserve())
  expect(() => r1.exchange.reserve()).toThrow('128 requests wait for ACKs already')
  places[0]?.()
  r1.exchange.reserve()
})
