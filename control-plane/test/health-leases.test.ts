import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Heartbeats, type Heartbeat } from '../src/health/heartbeats.ts'
import { sweeperRole } from '../src/health/sweeper.ts'
import type { Instance, LeaseSpec } from '../src/domain/instance.ts'
import { silentLogger } from '../src/runtime/logger.ts'
import { openDatabase } from '../src/store/database.ts'
import { LeaseTable } from '../src/store/lease-table.ts'
import { RoleTable } from '../src/store/role-table.ts'
import { FencedError } from '../src/store/write.ts'
import { createTestDatabase, type TestDatabase } from './support/database.ts'
import { eventually } from './support/eventually.ts'
import { createHeartbeats, createSweeper } from './support/health.ts'
import { ManualClock } from './support/manual-clock.ts'
import { startReplica, type TestReplica } from './support/replica.ts'
import { context, instanceSpec } from './support/specs.ts'

let test: TestDatabase
let replica: TestReplica

beforeEach(async () => {
  test = await createTestDatabase()
  replica = startReplica(test)
  await replica.loaded()
})

afterEach(async () => {
  await replica.stop()
  await test.destroy()
})

const service = 'payments'
const shortLease: LeaseSpec = { ttlMs: 300, deregisterAfterMs: null }

const register = async (id: string, lease: LeaseSpec | null = shortLease, port = 8080): Promise<Instance> => {
  const spec = instanceSpec({ lease, port })
  const { result } = await replica.registry.register({ service, id, spec }, context)
  return result.instance
}
const inMemory = (id: string): Instance => {
  const instance = replica.mesh.instance(service, id)
  if (instance === undefined) throw new Error(`${id} is not in memory`)
  return instance
}
const leaseOf = (instance: Instance) => instance.evidence.find(({ source }) => source === 'lease')
const beat = (id: string, rest: Partial<Heartbeat> = {}): Heartbeat => ({
  service,
  id,
  incarnation: null,
  report: null,
  ...rest,
})
const leaseRows = () => test.database.selectFrom('lease').selectAll().orderBy('id').execute()
const ownSweeperRole = async (owner = 'replica-1'): Promise<number> => {
  const fence = await new RoleTable(test.database).acquire({ name: sweeperRole, owner, ttlMs: 60_000 })
  if (fence === null) throw new Error('the role is taken')
  return fence
}
const sweepUntil = async (sweep: () => Promise<void>, condition: () => void): Promise<void> => {
  await eventually(async () => {
    await sweep()
    condition()
  })
}

describe('a lease', () => {
  it('expires when its TTL has passed by Postgres time, and comes back with the next beat', async () => {
    await register('a', { ttlMs: 300, deregisterAfterMs: 600_000 })
    const fence = await ownSweeperRole()
    const sweeper = createSweeper(test, replica)
    await sweepUntil(
      () => sweeper.sweep(fence),
      () => {
        expect(inMemory('a').verdict).toBe('unhealthy')
      },
    )
    const { sets } = await replica.log.readChanges({ after: 0, limit: 10 })
    const [registered, expired] = sets.flatMap(({ changes }) => changes)
    expect(expired).toMatchObject({ type: 'instance.health', actor: 'sweeper' })
    const silence = Date.parse(expired?.occurredAt ?? '') - Date.parse(registered?.occurredAt ?? '')
    expect(silence).toBeGreaterThanOrEqual(300)
    expect(leaseOf(inMemory('a'))).toMatchObject({
      status: 'critical',
      observer: 'replica-1',
      validUntil: null,
    })
    expect(leaseOf(inMemory('a'))?.output).toMatch(/^no heartbeat for \d\.\d s, TTL 0\.3 s$/)
    const removeAt = Date.parse(inMemory('a').removeAt ?? '')
    expect(removeAt - Date.parse(expired?.occurredAt ?? '')).toBe(600_000)

    await createHeartbeats(test, replica).beat(beat('a'))
    expect(inMemory('a')).toMatchObject({ verdict: 'healthy', removeAt: null })
    expect(leaseOf(inMemory('a'))).toMatchObject({ status: 'passing', output: 'heartbeats again' })
    // The recovery has renewed the lease itself: a sweep before the next flush does not expire it again, unless the machine
    // was so slow that the new lease is over.
    const [recovered] = (await replica.log.readChanges({ after: 2, limit: 1 })).sets.flatMap(
      ({ changes }) => changes,
    )
    await sweeper.sweep(fence)
    const [again] = (await replica.log.readChanges({ after: 3, limit: 1 })).sets.flatMap(
      ({ changes }) => changes,
    )
    const held = Date.parse(again?.occurredAt ?? '') - Date.parse(recovered?.occurredAt ?? '')
    if (again !== undefined) expect(held).toBeGreaterThanOrEqual(300)
  })

  it('is kept by beats, which write nothing to the log', async () => {
    const lease = { ttlMs: 1_000, deregisterAfterMs: null }
    const fence = await ownSweeperRole()
    const sweeper = createSweeper(test, replica)
    const heartbeats = createHeartbeats(test, replica)
    // A test that stood still for a TTL has not beaten in time: then once more, with others.
    for (let turn = 1; ; turn += 1) {
      const [kept, silent] = [`kept-${turn}`, `silent-${turn}`]
      const { revision: before } = await register(kept, lease)
      await register(silent, lease)
      /** The longest time from a beat to the end of the sweep after the next one. */
      let slowest = 0
      let last = performance.now()
      await sweepUntil(
        async () => {
          const now = performance.now()
          await heartbeats.beat(beat(kept))
          await heartbeats.flush()
          await sweeper.sweep(fence)
          slowest = Math.max(slowest, performance.now() - last)
          last = now
        },
        () => {
          expect(inMemory(silent).verdict).toBe('unhealthy')
        },
      )
      if (slowest > lease.ttlMs && turn < 5) continue
      expect(inMemory(kept).verdict).toBe('healthy')
      const { sets } = await replica.log.readChanges({ after: before - 1, limit: 100 })
      const changes = sets
        .flatMap(set => set.changes.map(({ aggregateId, type }) => `${type} ${aggregateId}`))
        // Those of turns before may expire late.
        .filter(change => change.endsWith(`-${turn}`))
      // Two registrations and one expiry.
      expect(changes).toEqual([
        `instance.registered ${service}/${kept}`,
        `instance.registered ${service}/${silent}`,
        `instance.health ${service}/${silent}`,
      ])
      if (turn === 1) expect(replica.mesh.revision).toBe(3)
      return
    }
  })

  it('counts from when a beat was taken, not from when it was written', async () => {
    await register('a', { ttlMs: 60_000, deregisterAfterMs: null })
    await test.database
      .updateTable('lease')
      .set({ seen_at: new Date(0) })
      .execute()
    const clock = new ManualClock()
    const heartbeats = new Heartbeats({
      mesh: replica.mesh,
      registry: replica.registry,
      leases: new LeaseTable(test.database),
      replicaId: 'replica-1',
      clock,
      logger: silentLogger,
    })
    await heartbeats.beat(beat('a'))
    await clock.advance(45_000)
    await heartbeats.flush()
    const survey = await new LeaseTable(test.database).survey()
    const [row] = await leaseRows()
    const age = survey.now - (row?.seen_at.getTime() ?? 0)
    expect(age).toBeGreaterThanOrEqual(45_000)
    expect(age).toBeLessThan(60_000)
  })

  it('of an instance that never beats does not exist', async () => {
    await register('a', null)
    const heartbeats = createHeartbeats(test, replica)
    await heartbeats.beat(beat('a'))
    expect(heartbeats.pending).toBe(0)
    expect(await leaseRows()).toEqual([])
    const fence = await ownSweeperRole()
    const sweeper = createSweeper(test, replica)
    await sweeper.sweep(fence)
    expect(sweeper.status().selfPreservation).toMatchObject({ leased: 0 })
  })
})

describe('a heartbeat', () => {
  it('of an unknown instance is refused on the word of the database', async () => {
    const heartbeats = createHeartbeats(test, replica)
    await expect(heartbeats.beat(beat('nobody'))).rejects.toMatchObject({ code: 'instance_not_found' })
    expect(heartbeats.pending).toBe(0)
  })

  it('of an instance that this replica has not heard of yet counts', async () => {
    await register('a', { ttlMs: 60_000, deregisterAfterMs: null })
    await test.database
      .updateTable('lease')
      .set({ seen_at: new Date(0) })
      .execute()
    const heartbeats = new Heartbeats({
      mesh: { instance: () => undefined, onDelta: () => () => undefined },
      registry: replica.registry,
      leases: new LeaseTable(test.database),
      replicaId: 'replica-2',
      clock: new ManualClock(),
      logger: silentLogger,
    })
    await heartbeats.beat(beat('a'))
    await heartbeats.flush()
    expect((await leaseRows())[0]?.seen_at.getTime()).toBeGreaterThan(0)
  })

  it('of an older process is refused, of the current one it counts', async () => {
    const first = await register('a')
    // Equal: the log, and so the memory of every replica, does not hear of the second registration.
    const second = await register('a')
    expect(second.incarnation).toBeGreaterThan(first.incarnation)
    expect(inMemory('a').incarnation).toBe(first.incarnation)
    const heartbeats = createHeartbeats(test, replica)
    await heartbeats.beat(beat('a', { incarnation: second.incarnation }))
    await expect(heartbeats.beat(beat('a', { incarnation: first.incarnation }))).rejects.toMatchObject({
      code: 'incarnation_conflict',
    })
    await expect(heartbeats.beat(beat('a', { incarnation: second.incarnation + 1 }))).rejects.toMatchObject({
      code: 'incarnation_conflict',
    })
  })

  it('of a process that a restored database has registered anew counts', async () => {
    const registered = async (): Promise<number> => (await register('a')).incarnation
    await registered()
    const restored = await test.database.selectFrom('mesh_revision').selectAll().executeTakeFirstOrThrow()
    const heartbeats = createHeartbeats(test, replica)
    const stop = new AbortController()
    const ended = heartbeats.start(stop.signal)
    // Equal registrations: the log does not hear of them.
    for (let times = 0; times < 3; times += 1)
      await heartbeats.beat({ service, id: 'a', incarnation: await registered(), report: null })
    await test.database
      .updateTable('mesh_revision')
      .set({ incarnation: restored.incarnation, revision: '0' })
      .execute()
    await test.database.updateTable('instance').set({ incarnation: restored.incarnation }).execute()
    await eventually(() => {
      expect(replica.mesh.revision).toBe(0)
    })
    await test.database.updateTable('mesh_revision').set({ revision: restored.revision }).execute()
    const incarnation = await registered()
    await expect(heartbeats.beat({ service, id: 'a', incarnation, report: null })).resolves.toBeUndefined()
    stop.abort()
    await ended
  })

  it('of an older process that memory cannot tell from the newer one renews nothing', async () => {
    const first = await register('a')
    await register('a')
    await test.database
      .updateTable('lease')
      .set({ seen_at: new Date(0) })
      .execute()
    const heartbeats = createHeartbeats(test, replica)
    await heartbeats.beat(beat('a', { incarnation: first.incarnation }))
    await heartbeats.flush()
    expect((await leaseRows())[0]?.seen_at).toEqual(new Date(0))
    // From the flush the replica has learned who is newer.
    await expect(heartbeats.beat(beat('a', { incarnation: first.incarnation }))).rejects.toMatchObject({
      code: 'incarnation_conflict',
    })
  })

  it('does not bring a lease back that went with its instance', async () => {
    await register('a')
    const heartbeats = createHeartbeats(test, replica)
    await heartbeats.beat(beat('a'))
    await replica.registry.deregister({ service, id: 'a', incarnation: null, drainMs: null }, context)
    await heartbeats.flush()
    expect(await leaseRows()).toEqual([])
    expect(heartbeats.pending).toBe(0)
  })

  it('creates the lease row again that a crash of Postgres has taken', async () => {
    const { incarnation } = await register('a')
    await test.database.deleteFrom('lease').execute()
    const heartbeats = createHeartbeats(test, replica)
    await heartbeats.beat(beat('a'))
    await heartbeats.flush()
    expect(await leaseRows()).toMatchObject([{ id: 'a', incarnation: String(incarnation), ttl_ms: 300 }])
  })

  it('carries a status of its own: only a changed one is written', async () => {
    await register('a')
    const heartbeats = createHeartbeats(test, replica)
    const report = (status: 'passing' | 'warning' | 'critical', output: string) =>
      heartbeats.beat(beat('a', { report: { status, output } }))
    await report('warning', 'queue is long')
    expect(inMemory('a').verdict).toBe('degraded')
    expect(inMemory('a').evidence.find(({ source }) => source === 'report')).toMatchObject({
      observer: 'payments/a',
      status: 'warning',
      output: 'queue is long',
    })
    const revision = replica.mesh.revision
    await report('warning', 'queue is longer')
    expect(replica.mesh.revision).toBe(revision)
    await report('critical', 'queue is full')
    expect(inMemory('a').verdict).toBe('unhealthy')
    await report('passing', '')
    expect(inMemory('a').verdict).toBe('healthy')
  })

  it('is refused when the database has been away for seconds, but kept until it is back', async () => {
    await register('a')
    await test.database
      .updateTable('lease')
      .set({ seen_at: new Date(0) })
      .execute()
    const away = openDatabase({
      url: 'postgres://nobody@127.0.0.1:1/nothing',
      applicationName: 'test',
      connections: 1,
      logger: silentLogger,
    })
    let leases = new LeaseTable(away)
    const clock = new ManualClock()
    const heartbeats = new Heartbeats({
      mesh: replica.mesh,
      registry: replica.registry,
      leases: { renew: beats => leases.renew(beats), find: (name, id) => leases.find(name, id) },
      replicaId: 'replica-1',
      clock,
      logger: silentLogger,
      capacity: 1,
    })
    await heartbeats.beat(beat('a'))
    await heartbeats.flush()
    expect(heartbeats.pending).toBe(1)
    await clock.advance(2_000)
    await heartbeats.beat(beat('a'))
    await clock.advance(2_000)
    await expect(heartbeats.beat(beat('a'))).rejects.toMatchObject({ code: 'database_unavailable' })
    await expect(heartbeats.beat(beat('unknown'))).rejects.toMatchObject({ code: 'database_unavailable' })
    expect(heartbeats.pending).toBe(1)

    leases = new LeaseTable(test.database)
    await heartbeats.flush()
    expect(heartbeats.pending).toBe(0)
    expect((await leaseRows())[0]?.seen_at.getTime()).toBeGreaterThan(0)
    await heartbeats.beat(beat('a'))
    await away.destroy()
  })
})

describe('the sweeper', () => {
  it('pauses while too many would expire at once, says why, and goes on when enough are back', async () => {
    const ids = Array.from({ length: 20 }, (_, index) => `i-${index}`)
    await Promise.all(ids.map(id => register(id)))
    const fence = await ownSweeperRole()
    const sweeper = createSweeper(test, replica)
    await sweepUntil(
      () => sweeper.sweep(fence),
      () => {
        expect(sweeper.status().selfPreservation).toMatchObject({ active: true, leased: 20, due: 20 })
      },
    )
    expect(sweeper.status().selfPreservation?.reason).toContain('20 of 20 leased instances would expire')
    expect(sweeper.status().selfPreservation?.since).not.toBeNull()
    const unhealthy = () => ids.filter(id => inMemory(id).verdict === 'unhealthy')
    await sweeper.sweep(fence)
    expect(unhealthy()).toEqual([])

    // Renewed for long, so that the rest alone is due.
    const back = ids.slice(0, 11)
    await test.database
      .updateTable('lease')
      .set({ seen_at: new Date(Date.now() + 60_000) })
      .where('id', 'in', back)
      .execute()
    await sweeper.sweep(fence)
    expect(unhealthy()).toEqual(ids.slice(11))
    expect(sweeper.status().selfPreservation).toMatchObject({ active: false, since: null, reason: null })
  })

  it('is told to the replicas that do not sweep', async () => {
    const ids = Array.from({ length: 12 }, (_, index) => `silent-${index}`)
    for (const id of ids) await register(id, { ttlMs: 1, deregisterAfterMs: null })
    const [owner, other] = [
      createSweeper(test, replica, { owner: 'replica-1', intervalMs: 100 }),
      createSweeper(test, replica, { owner: 'replica-2', intervalMs: 100 }),
    ]
    const stops = [new AbortController(), new AbortController()] as const
    const owning = owner.start(stops[0].signal)
    await eventually(() => {
      expect(owner.status()).toMatchObject({
        owner: 'replica-1',
        selfPreservation: { active: true, due: 12 },
      })
    })
    const waiting = other.start(stops[1].signal)
    await eventually(() => {
      expect(other.status()).toEqual(owner.status())
    })
    stops[1].abort()
    await waiting
    stops[0].abort()
    await owning
  })

  it('waits for beats that a replica may have taken and not written yet', async () => {
    await register('a')
    const fence = await ownSweeperRole()
    const hasty = createSweeper(test, replica)
    const patient = createSweeper(test, replica, { graceMs: 60_000 })
    await hasty.sweep(fence)
    await patient.sweep(fence)
    const leases = new LeaseTable(test.database)
    const { now } = await leases.survey()
    await eventually(async () => {
      expect((await leases.survey()).now - now).toBeGreaterThan(300)
    })
    await patient.sweep(fence)
    expect(patient.status().selfPreservation?.due).toBe(0)
    expect(inMemory('a').verdict).toBe('healthy')
    await sweepUntil(
      () => hasty.sweep(fence),
      () => {
        expect(inMemory('a').verdict).toBe('unhealthy')
      },
    )
  })

  it('gives every lease a full TTL after an interruption', async () => {
    await register('a', { ttlMs: 60_000, deregisterAfterMs: null })
    const fence = await ownSweeperRole()
    // A sweep every 20 ms is expected: 60 ms without one are an interruption.
    const sweeper = createSweeper(test, replica, { intervalMs: 20 })
    await sweeper.sweep(fence)
    await test.database
      .updateTable('lease')
      .set({ seen_at: new Date(0) })
      .execute()
    const { now } = await new LeaseTable(test.database).survey()
    await eventually(async () => {
      const survey = await new LeaseTable(test.database).survey()
      expect(survey.now - now).toBeGreaterThan(100)
    })
    await sweeper.sweep(fence)
    expect(inMemory('a').verdict).toBe('healthy')
    expect(sweeper.status().recoveringUntil).toBeGreaterThan(Date.now())
  })

  it('counts leases that Postgres has lost as seen when the loss is noticed', async () => {
    await register('a')
    const fence = await ownSweeperRole()
    const sweeper = createSweeper(test, replica)
    // Long enough for the series itself to shelter nobody any more.
    await sweepUntil(
      () => sweeper.sweep(fence),
      () => {
        expect(inMemory('a').verdict).toBe('unhealthy')
      },
    )
    await register('b')
    await test.database.deleteFrom('lease').execute()
    const revision = replica.mesh.revision
    await eventually(async () => {
      await sweeper.sweep(fence)
      expect((await leaseRows()).map(({ id }) => id)).toEqual(['a', 'b'])
    })
    expect(replica.mesh.revision).toBe(revision)
    await sweepUntil(
      () => sweeper.sweep(fence),
      () => {
        expect(inMemory('b').verdict).toBe('unhealthy')
      },
    )
  })

  it('removes what had expired before Postgres lost all leases', async () => {
    await register('a', { ttlMs: 300, deregisterAfterMs: 1_000 })
    const fence = await ownSweeperRole()
    const sweeper = createSweeper(test, replica)
    await sweepUntil(
      () => sweeper.sweep(fence),
      () => {
        expect(inMemory('a')).toMatchObject({ verdict: 'unhealthy', removeAt: expect.any(String) as string })
      },
    )
    await test.database.deleteFrom('lease').execute()
    await sweepUntil(
      () => sweeper.sweep(fence),
      () => {
        expect(replica.mesh.instance(service, 'a')).toBeUndefined()
      },
    )
  })

  it('removes an instance whose drain is over, and one that has been expired for long', async () => {
    await register('drained')
    await register('expired', { ttlMs: 300, deregisterAfterMs: 600_000 })
    await register('held', { ttlMs: 300, deregisterAfterMs: 600_000 })
    await register('staying', { ttlMs: 60_000, deregisterAfterMs: 1 })
    await replica.registry.deregister({ service, id: 'drained', incarnation: null, drainMs: 1 }, context)
    const fence = await ownSweeperRole()
    const sweeper = createSweeper(test, replica)
    await sweepUntil(
      () => sweeper.sweep(fence),
      () => {
        expect(replica.mesh.instance(service, 'drained')).toBeUndefined()
      },
    )
    await sweepUntil(
      () => sweeper.sweep(fence),
      () => {
        expect(inMemory('expired').verdict).toBe('unhealthy')
        expect(inMemory('held').verdict).toBe('unhealthy')
      },
    )
    // By an operator: the instance itself does not leave.
    const override = { status: 'draining', reason: 'a test' } as const
    await replica.registry.override({ service, id: 'held', override }, context)
    await test.database
      .updateTable('instance')
      .set({ remove_at: new Date(0) })
      .where('id', 'in', ['expired', 'held'])
      .execute()
    // A new owner has not seen a full TTL of silence yet: its first sweep removes nobody for it.
    await createSweeper(test, replica).sweep(fence)
    expect(inMemory('expired').removeAt).not.toBeNull()
    expect(inMemory('held').removeAt).not.toBeNull()
    await sweepUntil(
      () => sweeper.sweep(fence),
      () => {
        expect(replica.mesh.instance(service, 'expired')).toBeUndefined()
        expect(replica.mesh.instance(service, 'held')).toBeUndefined()
      },
    )
    expect(inMemory('staying')).toBeDefined()
  })

  it('has no effect any more when the role has moved', async () => {
    await register('a')
    const fence = await ownSweeperRole()
    const sweeper = createSweeper(test, replica)
    await sweeper.sweep(fence)
    const roles = new RoleTable(test.database)
    await roles.release({ name: sweeperRole, owner: 'replica-1', fence })
    const next = await ownSweeperRole('replica-2')
    expect(next).toBe(fence + 1)
    await sweepUntil(
      () => sweeper.sweep(fence),
      () => {
        expect(sweeper.status().selfPreservation?.due).toBe(1)
      },
    )
    expect(inMemory('a').verdict).toBe('healthy')
    await expect(
      replica.registry.observe(
        {
          service,
          id: 'a',
          source: 'lease',
          observer: 'replica-1',
          status: 'critical',
          output: '',
          validForMs: null,
          fence: { role: sweeperRole, fence },
        },
        context,
      ),
    ).rejects.toBeInstanceOf(FencedError)
    const successor = createSweeper(test, replica, { owner: 'replica-2' })
    await sweepUntil(
      () => successor.sweep(next),
      () => {
        expect(inMemory('a').verdict).toBe('unhealthy')
      },
    )
  })

  it('runs on one replica at a time, and the next one takes over', async () => {
    await register('a', { ttlMs: 60_000, deregisterAfterMs: null })
    const one = createSweeper(test, replica, { owner: 'replica-1', intervalMs: 20 })
    const two = createSweeper(test, replica, { owner: 'replica-2', intervalMs: 20 })
    const stop = { one: new AbortController(), two: new AbortController() }
    const running = [one.start(stop.one.signal), two.start(stop.two.signal)]
    const sweeping = () => [one, two].filter(sweeper => sweeper.status().selfPreservation !== null)
    await eventually(() => {
      expect(sweeping()).toHaveLength(1)
      expect(one.status().owner).not.toBeNull()
      expect(two.status().owner).toBe(one.status().owner)
    })
    const [first, second] =
      one.status().owner === 'replica-1' ? (['one', 'two'] as const) : (['two', 'one'] as const)
    stop[first].abort()
    const other = second === 'two' ? two : one
    await eventually(() => {
      expect(other.status().owner).toBe(second === 'two' ? 'replica-2' : 'replica-1')
      expect(other.status().selfPreservation).not.toBeNull()
    })
    expect(sweeping()).toEqual([other])
    stop[second].abort()
    await Promise.all(running)
  })
})
