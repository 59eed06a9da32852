import { sql } from 'kysely'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { systemClock } from '../src/runtime/clock.ts'
import { silentLogger } from '../src/runtime/logger.ts'
import { SidecarDirectory } from '../src/sidecar-directory.ts'
import { openDatabase } from '../src/store/database.ts'
import { ReplicaTable } from '../src/store/replica-table.ts'
import { SidecarTable } from '../src/store/sidecar-table.ts'
import type { StreamStatus } from '../src/xds/status/status.ts'
import { createTestDatabase, type TestDatabase } from './support/database.ts'

let test: TestDatabase

beforeEach(async () => {
  test = await createTestDatabase()
})

afterEach(async () => {
  await test.destroy()
})

const node = 'web/web-1'
const streamSince = (connectedAt: number, more: Partial<StreamStatus> = {}): StreamStatus => ({
  node,
  stream: 1,
  agent: 'envoy/1.40.0',
  connectedAt,
  address: `10.0.0.1:${connectedAt}`,
  heardAt: connectedAt,
  rivals: [],
  syncedRevision: 1,
  answeredRevision: 1,
  inSync: true,
  types: [],
  nacks: [],
  ...more,
})
const tableOf = (replica: string, { database = test.database, run = '1' } = {}) =>
  new SidecarTable<StreamStatus>({ database, replica, run })
const directoryOf = (
  replica: string,
  {
    own = [],
    members = [],
    table = tableOf(replica),
  }: {
    readonly own?: readonly StreamStatus[]
    readonly members?: readonly string[]
    readonly table?: SidecarTable<StreamStatus>
  } = {},
) =>
  new SidecarDirectory({
    replica,
    table,
    members: () => members,
    clock: systemClock,
    streams: {
      streams: () => [...own],
      stream: name => own.find(status => status.node === name),
      resources: () => [],
    },
  })
const announce = (id: string) => new ReplicaTable(test.database).announce({ id, http: 'h:1', xds: 'h:2' })
const servedBy = async (directory: SidecarDirectory, filter = {}) =>
  (await directory.list(filter)).entries.map(
    ({ node: name, replica, endedAt }) => `${name} ${replica}${endedAt === null ? '' : ' ended'}`,
  )

describe('a sidecar that has gone from one replica to another', () => {
  it('is shown at the new one, also while and after the old one finds out', async () => {
    const [before, after] = [tableOf('r1'), tableOf('r2')]
    await announce('r1')
    await announce('r2')
    await before.save([{ node, status: streamSince(1) }])
    await after.save([{ node, status: streamSince(2) }])
    // The old one writes down again what it still takes for a stream.
    await before.save([{ node, status: streamSince(1) }])
    expect(await servedBy(directoryOf('r3'))).toEqual([`${node} r2`])
    const [old, current] = [
      directoryOf('r1', { own: [streamSince(1)] }),
      directoryOf('r2', { own: [streamSince(2)] }),
    ]
    expect(await servedBy(old)).toEqual([`${node} r2`])
    expect((await old.get(node))?.resources).toBeNull()
    expect((await current.get(node))?.resources).toEqual([])
    await before.end([node])
    expect(await tableOf('r3').of(node)).toHaveLength(1)
    expect(await servedBy(directoryOf('r3'))).toEqual([`${node} r2`])
    await after.end([node])
    expect(await servedBy(directoryOf('r3'))).toEqual([`${node} r2 ended`])
    // It comes back, to the first one.
    await before.save([{ node, status: streamSince(3) }])
    expect(await servedBy(directoryOf('r3'))).toEqual([`${node} r1`])
    expect(await tableOf('r3').of(node)).toHaveLength(1)
  })

  it('is shown as gone when it leaves, although the replica before was killed', async () => {
    const [before, after] = [tableOf('killed'), tableOf('r2')]
    await announce('r2')
    await before.save([{ node, status: streamSince(1) }])
    await after.save([{ node, status: streamSince(2) }])
    await after.end([node])
    expect(await servedBy(directoryOf('r3'))).toEqual([`${node} r2 ended`])
  })

  it('is forgotten some minutes after it has left, or its replica has', async () => {
    const [gone, killed] = [tableOf('r1'), tableOf('killed')]
    await announce('r1')
    await gone.save([
      { node, status: streamSince(1) },
      { node: 'web/stays', status: streamSince(1) },
    ])
    await killed.save([{ node: 'web/lost', status: streamSince(1) }])
    await gone.end([node])
    await gone.forget()
    expect(await servedBy(directoryOf('r3'))).toHaveLength(3)
    await sql`update sidecar set seen_at = seen_at - interval '11 minutes'`.execute(test.database)
    await gone.forget()
    expect(await servedBy(directoryOf('r3'))).toEqual(['web/stays r1'])
  })
})

it('one service is read alone', async () => {
  await tableOf('r1').save([
    { node, status: streamSince(1) },
    { node: 'webshop/1', status: streamSince(1) },
  ])
  const own = [streamSince(1, { node: 'orders/1' }), streamSince(1, { node: 'web/2' })]
  expect((await servedBy(directoryOf('r2', { own }), { service: 'web' })).sort()).toEqual(
    ['web/web-1 r1', 'web/2 r2'].sort(),
  )
})

it('a sidecar whose replica no longer runs is lost', async () => {
  await tableOf('r1').save([{ node, status: streamSince(1) }])
  const lost = async (members: readonly string[]) =>
    (await directoryOf('r2', { members }).get(node))?.entry.lost
  expect(await lost(['r1', 'r2'])).toBe(false)
  expect(await lost(['r2'])).toBe(true)
  await sql`update sidecar set seen_at = seen_at - interval '2 minutes'`.execute(test.database)
  expect(await lost(['r1', 'r2'])).toBe(true)
})

describe('settled sidecars, covered with one row', () => {
  const revisions = async (more: Partial<StreamStatus>) => {
    await tableOf('r1').save([{ node, status: streamSince(1, more) }])
    const { status } = (await directoryOf('r2').get(node))?.entry ?? {}
    return [status?.syncedRevision, status?.answeredRevision]
  }
  const type = { typeUrl: 't', wildcard: true, subscribed: 0, sent: 2, acked: 1, waiting: 0 }
  const nack = { typeUrl: 't', names: ['a'], version: '', message: 'no', at: 1, revision: 2 }

  it('have what their replica says all have', async () => {
    await tableOf('r1').cover(7)
    expect(await revisions({})).toEqual([7, 7])
    await tableOf('r1').cover(9)
    expect(await revisions({})).toEqual([9, 9])
    expect(await revisions({ syncedRevision: 12, answeredRevision: 12 })).toEqual([12, 12])
  })

  it('have answered it, when they have refused something', async () => {
    await tableOf('r1').cover(7)
    expect(await revisions({ inSync: false, nacks: [nack] })).toEqual([1, 7])
  })

  it('are told of for themselves while they owe an answer, when they have left, or another run wrote of them', async () => {
    await tableOf('r1').cover(7)
    expect(await revisions({ inSync: false, types: [{ ...type, unansweredSince: 1 }] })).toEqual([1, 1])
    const waiting = { ...type, waiting: 1, unansweredSince: null }
    expect(await revisions({ inSync: false, types: [waiting] })).toEqual([1, 1])
    await tableOf('r1', { run: '2' }).cover(8)
    expect(await revisions({})).toEqual([1, 1])
    await tableOf('r1').cover(8)
    await tableOf('r1').end([node])
    const { status, endedAt } = (await directoryOf('r2').get(node))?.entry ?? {}
    expect([status?.syncedRevision, typeof endedAt]).toEqual([1, 'string'])
  })

  it('show by the row that covers them whether a crash has emptied the tables', async () => {
    expect(await tableOf('r1').cover(7)).toBe(true)
    expect(await tableOf('r1').cover(8)).toBe(false)
    await sql`truncate sidecar, sidecar_coverage`.execute(test.database)
    expect(await tableOf('r1').cover(9)).toBe(true)
  })

  it('are forgotten with their replica, not while it runs', async () => {
    await announce('r1')
    await tableOf('r1').cover(7)
    await tableOf('gone').cover(7)
    await tableOf('r1').forget()
    const { rows } = await sql<{ replica: string }>`select replica from sidecar_coverage`.execute(
      test.database,
    )
    expect(rows).toEqual([{ replica: 'r1' }])
  })
})

it('two clients of one name are shown as such when both are alive, and one that has moved is not', async () => {
  const status = streamSince(1_000_000)
  await tableOf('r2').save([{ node, status }])
  const rivals = async (heardAt: number) => {
    await tableOf('r1').save([{ node, status: streamSince(1, { heardAt }) }])
    return (await directoryOf('r3').get(node))?.entry.rivals
  }
  expect(await rivals(1_000_100)).toEqual([])
  expect(await rivals(1_100_000)).toEqual([{ replica: 'r1', address: '10.0.0.1:1', connectedAt: 1 }])
})

it('without the database a replica tells of its own sidecars, and of whom it cannot', async () => {
  const database = openDatabase({
    url: 'postgres://nobody@127.0.0.1:1/none',
    applicationName: 'away',
    connections: 1,
    logger: silentLogger,
  })
  const directory = directoryOf('r1', {
    own: [streamSince(1)],
    members: ['r1', 'r2'],
    table: tableOf('r1', { database }),
  })
  expect(await directory.list()).toMatchObject({ entries: [{ node, replica: 'r1' }], missing: ['r2'] })
  expect(await directory.get(node)).toMatchObject({ entry: { node, replica: 'r1' }, resources: [] })
  await expect(directory.get('web/elsewhere')).rejects.toMatchObject({ code: 'database_unavailable' })
  await database.destroy()
})
