import { sql } from 'kysely'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { CompactedError } from '../src/domain/revision.ts'
import { Feed } from '../src/feed/feed.ts'
import { MeshState } from '../src/mesh/mesh-state.ts'
import { systemClock } from '../src/runtime/clock.ts'
import { silentLogger } from '../src/runtime/logger.ts'
import { dropOldPartitions, type RetentionRule } from '../src/store/retention.ts'
import { RoleTable } from '../src/store/role-table.ts'
import { FencedError } from '../src/store/write.ts'
import { migrate } from '../src/store/migrate.ts'
import { createTestDatabase, type TestDatabase } from './support/database.ts'
import { eventually } from './support/eventually.ts'
import { pauseLog } from './support/pause-log.ts'
import { startReplica, type TestReplica } from './support/replica.ts'
import { context, instanceSpec } from './support/specs.ts'

let database: TestDatabase
let replicas: TestReplica[]

const start = (): TestReplica => {
  const replica = startReplica(database)
  replicas.push(replica)
  return replica
}

beforeEach(async () => {
  database = await createTestDatabase()
  replicas = []
})

afterEach(async () => {
  await Promise.all(replicas.map(replica => replica.stop()))
  await database.destroy()
})

const register = (replica: TestReplica, service: string, id: string) =>
  replica.registry.register({ service, id, spec: instanceSpec() }, context)

const disconnectAll = () =>
  sql`select pg_terminate_backend(pid) from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid()`.execute(database.database)

describe('the feed', () => {
  it('brings a new replica to the present from a snapshot, and further from the log', async () => {
    const one = start()
    await register(one, 'a', '1')
    await register(one, 'a', '2')
    const two = start()
    await eventually(() => {
      expect(two.mesh.revision).toBe(2)
    })
    await register(one, 'b', '1')
    await eventually(() => {
      expect(two.mesh.snapshot()).toEqual(one.mesh.snapshot())
    })
  })

  it('shows every listener each revision once and in order, whoever committed it', async () => {
    const [one, two] = [start(), start()]
    const seen: number[] = []
    await eventually(() => {
      expect(two.mesh.loaded).toBe(true)
    })
    two.mesh.onDelta(delta => seen.push(...delta.sets.map(({ revision }) => revision)))
    const writes = Array.from({ length: 60 }, (_, index) =>
      register(index % 2 === 0 ? one : two, 'a', `i-${index}`),
    )
    await Promise.all(writes)
    await eventually(() => {
      expect(seen).toEqual(Array.from({ length: 60 }, (_, index) => index + 1))
    })
  })

  it('follows a standby that takes over without the end of the log, whoever writes then', async () => {
    const [one, two] = [start(), start()]
    await Promise.all([one.loaded(), two.loaded()])
    for (let index = 0; index < 6; index += 1) await register(one, 'a', `old-${index}`)
    await eventually(() => {
      expect([one.mesh.revision, two.mesh.revision]).toEqual([6, 6])
    })
    await database.database.transaction().execute(async transaction => {
      await sql`lock table mesh_revision, change, instance`.execute(transaction)
      for (const table of ['instance', 'change'])
        await sql`delete from ${sql.table(table)} where revision > 4`.execute(transaction)
      await sql`update mesh_revision set revision = 4`.execute(transaction)
      await sql`select pg_terminate_backend(pid) from pg_stat_activity
        where datname = current_database() and pid <> pg_backend_pid()`.execute(transaction)
    })
    // Before anybody has looked the log may be longer than what was applied of the other one.
    await Promise.all(
      Array.from({ length: 4 }, (_, index) =>
        eventually(() => register(index % 2 === 0 ? one : two, 'b', `new-${index}`)),
      ),
    )
    await eventually(async () => {
      const truth = new MeshState()
      truth.load(await one.log.readSnapshot())
      expect(one.mesh.snapshot()).toEqual(truth.snapshot())
      expect(two.mesh.snapshot()).toEqual(truth.snapshot())
      expect(truth.snapshot().instances).toHaveLength(8)
    })
  })

  it('goes on after its connections were cut', async () => {
    const [one, two] = [start(), start()]
    await register(one, 'a', '1')
    await disconnectAll()
    await eventually(async () => {
      await register(one, 'a', '2')
    })
    await eventually(() => {
      expect(two.mesh.snapshot()).toEqual(one.mesh.snapshot())
      expect(two.mesh.instance('a', '2')).toBeDefined()
    })
  })

  it('says so when the database does not answer although the connection stands', async () => {
    const feed = new Feed({
      log: start().log,
      follower: new MeshState(),
      clock: systemClock,
      logger: silentLogger,
      random: Math.random,
      ownBackend: () => null,
      ownConnections: () => 1,
      silentMs: 50,
    })
    await feed.step()
    expect(feed.status()).toMatchObject({ connected: true, lastError: null })
    const paused = await pauseLog(database)
    const reading = feed.step()
    await eventually(() => {
      expect(feed.status()).toMatchObject({
        connected: false,
        lastError: expect.stringMatching(/^no answer for \d+ s$/) as string,
      })
    })
    await paused.resume()
    await reading
    expect(feed.status()).toMatchObject({ connected: true, lastError: null })
  })

  it('starts again from a snapshot when the log has been compacted under it', async () => {
    const one = start()
    await register(one, 'a', '1')
    const log = one.log
    await sql`delete from change where revision = 1`.execute(database.database)
    await register(one, 'a', '2')
    await expect(log.readChanges({ after: 0, limit: 10 })).rejects.toEqual(new CompactedError(1, 2))
    const two = start()
    await eventually(() => {
      expect(two.mesh.snapshot()).toEqual(one.mesh.snapshot())
    })
  })

  it('follows a database that was restored to an earlier state', async () => {
    const one = start()
    await register(one, 'a', '1')
    await register(one, 'a', '2')
    await sql`delete from instance where id = '2'`.execute(database.database)
    await sql`delete from change where revision = 2`.execute(database.database)
    await sql`update mesh_revision set revision = 1`.execute(database.database)
    await eventually(() => {
      expect(one.mesh.revision).toBe(1)
      expect(one.mesh.instance('a', '2')).toBeUndefined()
    })
  })
})

describe('retention', () => {
  const drop = async (rule: Partial<RetentionRule> = {}, fence = 0): Promise<string[]> => {
    const roles = new RoleTable(database.database)
    const role = { name: 'retention', owner: 'test' }
    const held =
      (await roles.acquire({ ...role, ttlMs: 60_000 })) ?? (await roles.holder('retention'))?.fence ?? 0
    const dropped = await dropOldPartitions({
      database: database.database,
      keepDays: 7,
      keepRevisions: null,
      holdDays: 30,
      fence: { role: 'retention', fence: held + fence },
      ...rule,
    })
    return dropped.map(({ name, missedBy }) => [name, ...missedBy].join(' missed by '))
  }

  /** Of ten revisions each. */
  const smallPartitions = async (): Promise<void> => {
    await sql`delete from change_partition`.execute(database.database)
    await sql`drop table if exists change_1`.execute(database.database)
    await sql`select ensure_change_partition(1000, 10)`.execute(database.database)
  }

  it('is the work of the owner of its role only', async () => {
    await smallPartitions()
    const one = start()
    for (const n of Array.from({ length: 15 }).keys()) await register(one, 'a', `i-${n}`)
    await expect(drop({ keepRevisions: 1 }, 1)).rejects.toThrow(FencedError)
    await expect(drop({ keepRevisions: 1 }, -1)).rejects.toThrow(FencedError)
    expect(await drop({ keepRevisions: 1 })).toEqual(['change_1'])
  })

  it('keeps a number of revisions, in whole partitions', async () => {
    await smallPartitions()
    const one = start()
    for (const n of Array.from({ length: 35 }).keys()) await register(one, 'a', `i-${n}`)
    expect(await drop()).toEqual([])
    expect(await drop({ keepRevisions: 20 })).toEqual(['change_1'])
    expect(await drop({ keepRevisions: 1 })).toEqual(['change_11', 'change_21'])
    expect(await drop({ keepRevisions: 1 })).toEqual([])
  })

  it('gives way to a reader of the log, and to writers behind it', async () => {
    const one = start()
    await smallPartitions()
    for (const n of Array.from({ length: 25 }).keys()) await register(one, 'a', `i-${n}`)
    await database.database.transaction().execute(async reader => {
      await sql`select count(*) from change`.execute(reader)
      await expect(drop({ keepRevisions: 1 })).rejects.toMatchObject({ code: 'database_unavailable' })
      await register(one, 'a', 'written')
    })
    expect(await drop({ keepRevisions: 1 })).toEqual(['change_1', 'change_11'])
  })

  it('drops old partitions, but never the newest nor what a sink still needs', async () => {
    const one = start()
    await register(one, 'a', '1')
    await sql`select ensure_change_partition(1000001, 1000000)`.execute(database.database)
    await sql`update mesh_revision set revision = 1000000`.execute(database.database)
    await sql`update change set occurred_at = clock_timestamp() - interval '8 days'`.execute(
      database.database,
    )
    await database.database
      .insertInto('outbox_cursor')
      .values({ sink: 's', revision: 5, position: 0, fence: 1, updated_at: new Date() })
      .execute()
    expect(await drop()).toEqual([])
    await database.database.updateTable('outbox_cursor').set({ revision: 1_000_001 }).execute()
    await sql`update mesh_revision set revision = 1000001`.execute(database.database)
    expect(await drop()).toEqual(['change_1'])
    expect(await drop()).toEqual([])
  })

  it('holds what a sink needs for longer, but not for ever', async () => {
    await smallPartitions()
    const one = start()
    for (const n of Array.from({ length: 35 }).keys()) await register(one, 'a', `i-${n}`)
    await database.database
      .insertInto('outbox_cursor')
      .values({ sink: 'paused', revision: 12, position: 0, fence: 1, updated_at: new Date() })
      .execute()
    const age = async (days: number): Promise<void> => {
      await sql`update change set occurred_at = clock_timestamp() - ${days} * interval '1 day'`.execute(
        database.database,
      )
    }
    // By revisions: ten times as many as without it.
    expect(await drop({ keepRevisions: 2 })).toEqual(['change_1'])
    expect(await drop({ keepRevisions: 1 })).toEqual(['change_11 missed by paused'])
    // By days.
    await age(29)
    expect(await drop()).toEqual([])
    await age(31)
    expect(await drop()).toEqual(['change_21 missed by paused'])
    expect(await drop()).toEqual([])
  })
})

describe('migrate', () => {
  it('runs once when replicas start together, and refuses a newer database', async () => {
    await sql`drop schema public cascade`.execute(database.database)
    await sql`create schema public`.execute(database.database)
    const applied = await Promise.all([1, 2, 3].map(() => migrate(database.connection)))
    expect(applied.flat().filter(name => name.startsWith('0001'))).toEqual(['0001_registry.sql'])
    await sql`insert into migration (name) values ('9999_future.sql')`.execute(database.database)
    await expect(migrate(database.connection)).rejects.toThrow('9999_future.sql')
  })
})
