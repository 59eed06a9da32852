import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ChangeSet } from '../src/domain/change.ts'
import { WaymarkError } from '../src/domain/errors.ts'
import type { Instance } from '../src/domain/instance.ts'
import { MeshState } from '../src/mesh/mesh-state.ts'
import { Registry, type InstanceOutcome, type InstanceRequest } from '../src/registry/registry.ts'
import { systemClock } from '../src/runtime/clock.ts'
import { silentLogger } from '../src/runtime/logger.ts'
import { Sequencer } from '../src/store/sequencer.ts'
import { FencedError, type Settled } from '../src/store/write.ts'
import { createTestDatabase, type TestDatabase } from './support/database.ts'
import { eventually } from './support/eventually.ts'
import { ManualClock } from './support/manual-clock.ts'
import { pauseLog } from './support/pause-log.ts'
import { startReplica, type TestReplica } from './support/replica.ts'
import { context, instanceSpec } from './support/specs.ts'

let database: TestDatabase
let one: TestReplica
let two: TestReplica

beforeAll(async () => {
  database = await createTestDatabase()
  one = startReplica(database)
  two = startReplica(database)
})

afterAll(async () => {
  await Promise.all([one.stop(), two.stop()])
  await database.destroy()
})

const log = async (): Promise<readonly ChangeSet[]> => {
  const { sets } = await one.log.readChanges({ after: 0, limit: 100_000 })
  return sets
}

const caughtUp = async (): Promise<void> => {
  await eventually(async () => {
    const { head } = await one.log.readChanges({ after: 0, limit: 1 })
    expect([one.mesh.revision, two.mesh.revision]).toEqual([head, head])
  })
}

describe('a commit whose outcome is not known', () => {
  it('is told as such, and its batch does not run again', async () => {
    await sql`create function die() returns trigger language plpgsql as $$
      begin perform pg_terminate_backend(pg_backend_pid()); return null; end $$`.execute(database.database)
    await sql`create constraint trigger die after insert on instance deferrable initially deferred
      for each row when (new.service = 'doomed') execute function die()`.execute(database.database)
    const register = (id: string) =>
      one.registry.register({ service: 'doomed', id, spec: instanceSpec() }, context)
    const before = one.sequencer.batches
    const answers = await Promise.allSettled(['a', 'b', 'c'].map(register))
    expect(one.sequencer.batches).toBe(before)
    for (const answer of answers)
      expect(answer).toMatchObject({ status: 'rejected', reason: { code: 'database_unavailable' } })
    expect(answers[0]).toMatchObject({
      reason: { message: expect.stringContaining('may or may not have been applied') as string },
    })
    await sql`drop trigger die on instance`.execute(database.database)
    await eventually(() => register('a'))
  })
})

describe('a connection that the server ends while rows are written', () => {
  it('leaves no doubt: nothing was written', async () => {
    await sql`create function fall() returns trigger language plpgsql as $$
      begin perform pg_terminate_backend(pg_backend_pid()); return new; end $$`.execute(database.database)
    await sql`create trigger fall before insert on instance
      for each row when (new.service = 'falling') execute function fall()`.execute(database.database)
    const register = () =>
      one.registry.register({ service: 'falling', id: 'a', spec: instanceSpec() }, context)
    await expect(register()).rejects.toMatchObject({
      code: 'database_unavailable',
      message: expect.stringContaining('nothing was written') as string,
    })
    await sql`drop trigger fall on instance`.execute(database.database)
    const again = await eventually(register)
    expect(again.result.created).toBe(true)
  })
})

describe('a database that does not answer', () => {
  it('refuses the writes behind a batch that waits, and takes writes again after it', async () => {
    const clock = new ManualClock()
    const sequencer = new Sequencer({
      connection: database.connection,
      clock,
      logger: silentLogger,
      random: Math.random,
      onCommitted: () => undefined,
    })
    const abort = new AbortController()
    const running = sequencer.start(abort.signal)
    const registry = new Registry(sequencer)
    const register = (id: string) =>
      registry.register({ service: 'silent', id, spec: instanceSpec() }, context)
    await register('first')
    const paused = await pauseLog(database)
    const sent = register('sent')
    await eventually(() => {
      expect(sequencer.waiting).toBe(0)
    })
    const behind = expect(register('behind')).rejects.toMatchObject({ code: 'database_unavailable' })
    await clock.advance(5_000)
    await behind
    await expect(register('late')).rejects.toMatchObject({ code: 'database_unavailable' })
    await paused.resume()
    await expect(sent).resolves.toMatchObject({ changed: true })
    await expect(register('after')).resolves.toMatchObject({ changed: true })
    const { rows } = await sql<{
      id: string
    }>`select id from instance where service = 'silent' order by id`.execute(database.database)
    expect(rows.map(({ id }) => id)).toEqual(['after', 'first', 'sent'])
    abort.abort()
    await running
  })
})

describe('a database that takes no writes', () => {
  it('is asked again until it does, though nobody writes', async () => {
    const { sequencer, registry } = one
    const register = (id: string) => registry.register({ service: 'full', id, spec: instanceSpec() }, context)
    await register('before')
    expect(sequencer.writes).toMatchObject({ refusal: null })
    // As a full disk answers: for a row of the log and for the rows of the probe.
    const refuse = (table: string) =>
      sql`create trigger refuse before insert on ${sql.table(table)} execute function refuse()`
    await sql`create function refuse() returns trigger language plpgsql as $$
      begin raise exception 'no room' using errcode = '53100'; end $$`.execute(database.database)
    for (const table of ['instance', 'write_probe']) await refuse(table).execute(database.database)
    await expect(register('refused')).rejects.toMatchObject({ code: 'database_unavailable' })
    expect(sequencer.writes).toMatchObject({ refusal: 'no room (53100)', restoredMs: null })
    for (const table of ['instance', 'write_probe'])
      await sql`drop trigger refuse on ${sql.table(table)}`.execute(database.database)
    // Of writes before, also of other sequencers.
    await caughtUp()
    const head = one.mesh.revision
    await eventually(() => {
      expect(sequencer.writes).toMatchObject({ refusal: null, restoredMs: expect.any(Number) as number })
    })
    expect(sequencer.writes.slowestMs).toBeGreaterThan(0)
    expect(one.mesh.revision).toBe(head)
  })
})

describe('writes of every kind', () => {
  const startSequencer = (options: { capacity?: number } = {}) => {
    const sequencer = new Sequencer({
      connection: database.connection,
      clock: systemClock,
      logger: silentLogger,
      random: Math.random,
      onCommitted: () => undefined,
      ...options,
    })
    return { sequencer, registry: new Registry(sequencer) }
  }

  /** One of each kind; some of them are refused or fenced. */
  const submitAll = (registry: Registry, service: string) => {
    const fence = { role: 'nobody', fence: 1 }
    const ref = { service, id: 'old' }
    const document = { kind: 'TrafficPolicy', name: service, ifMatch: null }
    const observation = {
      ...ref,
      source: 'report',
      observer: 'test',
      status: 'warning',
      output: 'slow',
      validForMs: null,
    } as const
    return [
      registry.register({ service, id: 'new', spec: instanceSpec() }, context),
      registry.override({ ...ref, override: { status: 'maintenance', reason: 'a test' } }, context),
      registry.observe(observation, context),
      registry.observe({ ...observation, source: 'lease', status: 'passing', beats: true }, context),
      registry.withdraw({ ...ref, sources: ['report'], registeredAt: 'another time' }, context),
      registry.review({ ...ref, fence }, context),
      registry.removeDue({ ...ref, fence, stillTrue: () => true }, context),
      registry.applyDocument({ ...document, spec: { a: 1 } }, context),
      registry.deleteDocument({ ...document, name: 'nothing' }, context),
      registry.deregister({ ...ref, incarnation: null, drainMs: null }, context),
    ]
  }
  const settledAs = ['ok', 'ok', 'ok', 'ok', 'ok', 'fenced', 'fenced', 'ok', 'document_not_found', 'ok']

  const run = async (sequencer: Sequencer, writes: readonly Promise<unknown>[]): Promise<string[]> => {
    const abort = new AbortController()
    const running = sequencer.start(abort.signal)
    const results = await Promise.allSettled(writes)
    abort.abort()
    await running
    return results.map(result => {
      if (result.status === 'fulfilled') return 'ok'
      if (result.reason instanceof FencedError) return 'fenced'
      return result.reason instanceof WaymarkError ? result.reason.code : String(result.reason)
    })
  }

  it('share one transaction, and the refusal of one leaves the others alone', async () => {
    await one.registry.register({ service: 'kinds', id: 'old', spec: instanceSpec() }, context)
    const { sequencer, registry } = startSequencer()
    const writes = submitAll(registry, 'kinds')
    expect(await run(sequencer, writes)).toEqual(settledAs)
    expect(sequencer.batches).toBe(1)
    await caughtUp()
    expect([...(two.mesh.service('kinds')?.instances.keys() ?? [])]).toEqual(['new'])
  })

  it('run one by one, with the same outcomes, when the database refuses one of them', async () => {
    await one.registry.register({ service: 'apart', id: 'old', spec: instanceSpec() }, context)
    const { sequencer, registry } = startSequencer()
    const unstorable = registry.register(
      { service: 'apart', id: 'odd', spec: instanceSpec({ version: '\u0000' }) },
      context,
    )
    const writes = submitAll(registry, 'apart')
    expect(await run(sequencer, [unstorable, ...writes])).toEqual(['internal', ...settledAs])
    expect(sequencer.batches).toBe(writes.length)
    await caughtUp()
    expect([...(two.mesh.service('apart')?.instances.keys() ?? [])]).toEqual(['new'])
  })

  it('are refused, told when to come again, when more wait than may', async () => {
    await one.registry.register({ service: 'full', id: 'old', spec: instanceSpec() }, context)
    const { sequencer, registry } = startSequencer({ capacity: 10 })
    const writes = submitAll(registry, 'full')
    expect(sequencer.waiting).toBe(10)
    for (const write of await Promise.allSettled(submitAll(registry, 'full'))) {
      expect(write).toMatchObject({
        status: 'rejected',
        reason: { code: 'overloaded', retryAfterMs: 1_000 },
      })
    }
    expect(await run(sequencer, writes)).toEqual(settledAs)
  })
})

describe('the revision log', () => {
  it('gives 200 registrations over two replicas gapless revisions and both replicas the same state', async () => {
    await caughtUp()
    const before = one.mesh.revision
    const answers = await Promise.all(
      Array.from({ length: 200 }, (_, index) =>
        (index % 2 === 0 ? one : two).registry.register(
          { service: `svc-${index % 7}`, id: `i-${index}`, spec: instanceSpec({ port: 1 + index }) },
          context,
        ),
      ),
    )
    expect(answers.every(({ changed, result }) => changed && result.created)).toBe(true)
    const revisions = answers.map(({ revision }) => revision).sort((a, b) => a - b)
    expect(revisions).toEqual(Array.from({ length: 200 }, (_, index) => before + 1 + index))
    await caughtUp()
    const fresh = new MeshState()
    fresh.load(await one.log.readSnapshot())
    expect(one.mesh.snapshot()).toEqual(fresh.snapshot())
    expect(two.mesh.snapshot()).toEqual(fresh.snapshot())
    expect((await log()).map(set => set.revision)).toEqual(
      Array.from({ length: one.mesh.revision }, (_, index) => index + 1),
    )
    // Group commit: far fewer transactions than writes.
    expect(one.sequencer.batches + two.sequencer.batches).toBeLessThan(100)
  })

  it('does not change anything for an equal registration, but raises the incarnation', async () => {
    const input = { service: 'same', id: 'a', spec: instanceSpec() }
    const first = await one.registry.register(input, context)
    const second = await two.registry.register(input, context)
    expect(second.changed).toBe(false)
    expect(second.result.created).toBe(false)
    expect(second.result.instance.incarnation).toBeGreaterThan(first.result.instance.incarnation)
    expect(second.revision).toBeGreaterThanOrEqual(first.revision)
  })

  it("keeps a newer process when an older one's deregistration comes late", async () => {
    const input = { service: 'late', id: 'a', spec: instanceSpec() }
    const older = await one.registry.register(input, context)
    const newer = await one.registry.register(input, context)
    const late = one.registry.deregister(
      { service: 'late', id: 'a', incarnation: older.result.instance.incarnation, drainMs: null },
      context,
    )
    await expect(late).rejects.toMatchObject({ code: 'incarnation_conflict' })
    await caughtUp()
    expect(one.mesh.instance('late', 'a')).toBeDefined()
    const gone = await one.registry.deregister(
      { service: 'late', id: 'a', incarnation: newer.result.instance.incarnation, drainMs: null },
      context,
    )
    expect(gone.changed).toBe(true)
    await caughtUp()
    expect(two.mesh.service('late')).toBeUndefined()
  })

  it('refuses one write of a batch without disturbing the others, and leaves no gap', async () => {
    const before = one.mesh.revision
    const results = await Promise.allSettled([
      one.registry.register({ service: 'batch', id: 'a', spec: instanceSpec() }, context),
      one.registry.deregister({ service: 'batch', id: 'nobody', incarnation: null, drainMs: null }, context),
      one.registry.register({ service: 'batch', id: 'b', spec: instanceSpec() }, context),
    ])
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
    await caughtUp()
    const added = (await log()).filter(({ revision }) => revision > before)
    expect(added.map(({ revision }) => revision)).toEqual([before + 1, before + 2])
  })

  it('runs a batch again one by one when the database refuses a statement', async () => {
    const results = await Promise.allSettled([
      one.registry.register({ service: 'sql', id: 'a', spec: instanceSpec() }, context),
      // Postgres cannot keep a NUL character in jsonb.
      one.registry.register({ service: 'sql', id: 'b', spec: instanceSpec({ version: '\u0000' }) }, context),
      one.registry.register({ service: 'sql', id: 'c', spec: instanceSpec() }, context),
    ])
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
    const [, refused] = results
    expect(refused.status === 'rejected' && refused.reason).toMatchObject({ code: 'internal' })
    await caughtUp()
    expect([...(one.mesh.service('sql')?.instances.keys() ?? [])]).toEqual(['a', 'c'])
  })

  it('shows every write with its state before and after', async () => {
    const { revision } = await one.registry.register(
      { service: 'payload', id: 'a', spec: instanceSpec() },
      { actor: 'alice', traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' },
    )
    const draining = await one.registry.deregister(
      { service: 'payload', id: 'a', incarnation: null, drainMs: 60_000 },
      context,
    )
    const { sets } = await one.log.readChanges({ after: revision - 1, limit: 2 })
    expect(sets).toMatchObject([
      {
        revision,
        changes: [
          {
            position: 0,
            type: 'instance.registered',
            aggregateType: 'instance',
            aggregateId: 'payload/a',
            actor: 'alice',
            traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
            before: null,
            after: { verdict: 'healthy', revision },
          },
        ],
      },
      {
        revision: draining.revision,
        changes: [
          {
            type: 'instance.draining',
            before: { verdict: 'healthy' },
            after: { verdict: 'draining', override: { status: 'draining', actor: 'test' } },
          },
        ],
      },
    ])
  })

  it('checks documents against the version that a client has read', async () => {
    const input = { kind: 'TrafficPolicy', name: 'p', spec: { a: 1 } }
    const created = await one.registry.applyDocument({ ...input, ifMatch: 'absent' }, context)
    expect(created.result.created).toBe(true)
    const same = await two.registry.applyDocument({ ...input, ifMatch: null }, context)
    expect(same.changed).toBe(false)
    const stale = one.registry.applyDocument(
      { ...input, spec: { a: 2 }, ifMatch: created.revision + 1 },
      context,
    )
    await expect(stale).rejects.toBeInstanceOf(WaymarkError)
    await expect(stale).rejects.toMatchObject({ code: 'version_conflict' })
    const changed = await one.registry.applyDocument(
      { ...input, spec: { a: 2 }, ifMatch: created.revision },
      context,
    )
    expect(changed.changed).toBe(true)
    await one.registry.deleteDocument({ ...input, ifMatch: changed.revision }, context)
    await caughtUp()
    expect(two.mesh.document('TrafficPolicy', 'p')).toBeUndefined()
  })

  it('makes partitions ahead of the log', async () => {
    const { rows } = await database.database
      .selectFrom('change_partition')
      .selectAll()
      .execute()
      .then(found => ({ rows: found }))
    expect(rows).toMatchObject([{ name: 'change_1', from_revision: '1', to_revision: '1000001' }])
  })
})

describe('many writes of one caller', () => {
  const requests = (service: string): InstanceRequest[] =>
    Array.from({ length: 300 }, (_, index) => {
      const id = `i-${index % 75}`
      // Each instance comes, changes, goes and comes again, in different parts of one transaction.
      return Math.floor(index / 75) === 2
        ? { deregister: { service, id, incarnation: null, drainMs: null } }
        : { register: { service, id, spec: instanceSpec({ port: 1 + index }) } }
    })

  const settled = (outcomes: readonly Settled<InstanceOutcome>[]) =>
    outcomes.map(outcome => ('committed' in outcome ? outcome.committed.revision : outcome.error))

  it('happen in their order, each as a revision of its own', async () => {
    await caughtUp()
    const before = one.mesh.revision
    const outcomes = await one.registry.each(requests('parts'), context)
    expect(settled(outcomes)).toEqual(outcomes.map((_, index) => before + 1 + index))
    await caughtUp()
    const instances = [...(two.mesh.service('parts')?.instances.values() ?? [])]
    expect(instances.map(({ spec }) => spec.port).sort((a, b) => a - b)).toEqual(
      Array.from({ length: 75 }, (_, index) => 226 + index),
    )
    const snapshot = await one.log.readSnapshot()
    const byId = (all: readonly Instance[]) => new Map(all.map(instance => [instance.id, instance]))
    expect(byId(snapshot.instances.filter(({ service }) => service === 'parts'))).toEqual(byId(instances))
    const { rows: leases } = await sql<{ stale: number }>`
      select count(*)::integer as stale from instance i left join lease l using (service, id)
      where service = 'parts' and l.incarnation is distinct from i.incarnation`.execute(database.database)
    expect(leases).toEqual([{ stale: 0 }])
  })

  it('are refused one by one, wherever the database refuses', async () => {
    await caughtUp()
    const before = one.mesh.revision
    const all = requests('refused')
    // Postgres cannot keep a NUL character: in the first part, in the second, in the last.
    const wrong = [5, 140, 299]
    for (const index of wrong) {
      const spec = instanceSpec({ version: '\u0000' })
      all[index] = { register: { service: 'refused', id: `i-${index % 75}`, spec } }
    }
    const outcomes = await one.registry.each(all, context)
    const refused = outcomes.flatMap((outcome, index) => ('error' in outcome ? [[index, outcome.error]] : []))
    expect(refused).toMatchObject(wrong.map(index => [index, { code: 'internal' }]))
    await caughtUp()
    expect(one.mesh.revision).toBe(before + all.length - wrong.length)
    expect(two.mesh.service('refused')?.instances.size).toBe(74)
  })
})

describe('a first batch that the database refuses', () => {
  it('takes the room that it has made in the log with it, not that of the next one', async () => {
    const fresh = await createTestDatabase()
    const replica = startReplica(fresh)
    const register = (version: string | null) =>
      replica.registry.register({ service: 'first', id: 'a', spec: instanceSpec({ version }) }, context)
    try {
      await expect(register('\u0000')).rejects.toMatchObject({ code: 'internal' })
      expect((await register(null)).revision).toBe(1)
    } finally {
      await replica.stop()
      await fresh.destroy()
    }
  })
})
