import fc from 'fast-check'
import { sql } from 'kysely'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { Registry, type InstanceOutcome, type InstanceRequest } from '../src/registry/registry.ts'
import { systemClock, type Clock } from '../src/runtime/clock.ts'
import { silentLogger } from '../src/runtime/logger.ts'
import { ChangeLog } from '../src/store/change-log.ts'
import { Sequencer } from '../src/store/sequencer.ts'
import type { Settled } from '../src/store/write.ts'
import { createTestDatabase, type TestDatabase } from './support/database.ts'
import { eventually } from './support/eventually.ts'
import { ManualClock } from './support/manual-clock.ts'
import { context, instanceSpec } from './support/specs.ts'

let database: TestDatabase

beforeAll(async () => {
  database = await createTestDatabase()
})

afterAll(() => database.destroy())

/** Of each transaction; a quarter of it that waits is enough to begin the next one. */
const batchLimit = 4

const start = (clock: Clock): { sequencer: Sequencer; registry: Registry; revisions: number[] } => {
  const revisions: number[] = []
  const sequencer = new Sequencer({
    connection: database.connection,
    clock,
    logger: silentLogger,
    random: Math.random,
    onCommitted: sets => revisions.push(...sets.map(({ revision }) => revision)),
    batchLimit,
  })
  const abort = new AbortController()
  const running = sequencer.start(abort.signal)
  onTestFinished(async () => {
    abort.abort()
    await running
  })
  return { sequencer, registry: new Registry(sequencer), revisions }
}

const register = (service: string, id: string, port: number, version = ''): InstanceRequest => ({
  register: { service, id, spec: instanceSpec({ port, version }) },
})

const many = (service: string, count: number): InstanceRequest[] =>
  Array.from({ length: count }, (_, index) => register(service, `i-${index}`, 1 + index))

const idsOf = async (service: string): Promise<string[]> => {
  const { rows } = await sql<{ id: string }>`
    select id from instance where service = ${service} order by id`.execute(database.database)
  return rows.map(({ id }) => id)
}

const codes = (outcomes: readonly Settled<InstanceOutcome>[]): unknown[] =>
  outcomes.map(outcome => ('error' in outcome ? (outcome.error as { code?: unknown }).code : 'done'))

describe('transactions that are begun behind one another', () => {
  it('do what their writes say, in their order, whichever of them the database refuses', async () => {
    const { registry, revisions } = start(systemClock)
    const log = new ChangeLog(database)
    let round = 0
    const one = fc.record({
      id: fc.constantFrom('a', 'b', 'c'),
      does: fc.constantFrom('register', 'register', 'deregister', 'refused'),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(one, { minLength: 1, maxLength: 30 }), async writes => {
        const service = `any-${(round += 1)}`
        const ports = new Map<string, number>()
        const expected = writes.map(({ id, does }, index) => {
          if (does === 'refused') return 'internal'
          if (does === 'deregister') return ports.delete(id) ? 'done' : 'instance_not_found'
          ports.set(id, 1 + index)
          return 'done'
        })
        const requests = writes.map(({ id, does }, index): InstanceRequest => {
          if (does === 'deregister') return { deregister: { service, id, incarnation: null, drainMs: null } }
          // Postgres cannot keep a NUL character.
          return register(service, id, 1 + index, does === 'refused' ? '\u0000' : '')
        })
        const { head: before } = await log.readChanges({ after: 0, limit: 1 })
        const outcomes = await registry.each(requests, context)
        expect(codes(outcomes)).toEqual(expected)
        const got = outcomes.flatMap(outcome => ('committed' in outcome ? [outcome.committed.revision] : []))
        expect(got).toEqual(got.map((_, index) => before + 1 + index))
        const { rows } = await sql<{ id: string; port: number }>`
          select id, (spec ->> 'port')::integer as port from instance where service = ${service}`.execute(
          database.database,
        )
        expect(new Map(rows.map(({ id, port }) => [id, port]))).toEqual(ports)
      }),
      { numRuns: 40 },
    )
    await eventually(async () => {
      const { head } = await log.readChanges({ after: 0, limit: 1 })
      expect(revisions).toEqual(Array.from({ length: head }, (_, index) => 1 + index))
    })
  })

  it('leave nothing behind when the connection ends with the one before them', async () => {
    const { registry } = start(systemClock)
    await sql`create function die() returns trigger language plpgsql as $$
      begin perform pg_terminate_backend(pg_backend_pid()); return null; end $$`.execute(database.database)
    await sql`create constraint trigger die after insert on instance deferrable initially deferred
      for each row when (new.service = 'doomed' and new.id = 'i-5') execute function die()`.execute(
      database.database,
    )
    const outcomes = await registry.each(many('doomed', 16), context)
    const lost = 'may or may not have been applied'
    const unknown = outcomes.map(
      outcome => 'error' in outcome && outcome.error instanceof Error && outcome.error.message.includes(lost),
    )
    expect(codes(outcomes)).toEqual(outcomes.map((_, index) => (index < 4 ? 'done' : 'database_unavailable')))
    expect(unknown).toEqual(outcomes.map((_, index) => index >= 4 && index < 8))
    expect(await idsOf('doomed')).toEqual(['i-0', 'i-1', 'i-2', 'i-3'])
    await sql`drop trigger die on instance`.execute(database.database)
    await eventually(async () => {
      expect(codes(await registry.each(many('doomed', 16), context))).not.toContain('database_unavailable')
    })
    expect(await idsOf('doomed')).toHaveLength(16)
  })

  it('do nothing when the database is silent for too long, and end with it', async () => {
    const clock = new ManualClock()
    const { sequencer, registry } = start(clock)
    await registry.each([register('held', 'row', 1)], context)
    const holder = new pg.Client({ connectionString: database.connection.url })
    await holder.connect()
    await holder.query(`begin; select from instance where service = 'held' for update`)
    const first = registry.each([...many('silent', 3), register('held', 'row', 2)], context)
    const behind = registry.each(many('behind', 8), context)
    await eventually(async () => {
      const { rows } = await sql<{ count: number }>`
        select count(*)::integer from pg_locks where not granted`.execute(database.database)
      expect(rows).toEqual([{ count: 1 }])
    })
    expect(sequencer.waiting).toBe(8)
    await clock.advance(5_000)
    expect(codes(await behind)).toEqual(Array.from({ length: 8 }, () => 'database_unavailable'))
    await holder.end()
    // The answers come in a later turn, which this clock has to reach.
    let outcomes: readonly Settled<InstanceOutcome>[] | undefined
    void first.then(all => (outcomes = all))
    await eventually(async () => {
      await clock.advance(1)
      expect(outcomes).toBeDefined()
    })
    expect(codes(outcomes ?? [])).toEqual(['done', 'done', 'done', 'done'])
    expect(codes(await registry.each(many('after', 2), context))).toEqual(['done', 'done'])
    expect([await idsOf('behind'), await idsOf('after')]).toEqual([[], ['i-0', 'i-1']])
  })
})
