import { sql } from 'kysely'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Instance } from '../src/domain/instance.ts'
import { HeldInstances, holdOf } from '../src/health/traffic/held-instances.ts'
import { TrafficDecider } from '../src/health/traffic/traffic-decider.ts'
import { TrafficHealth, trafficRole } from '../src/health/traffic/traffic-health.ts'
import type { TallyRow } from '../src/health/traffic/traffic-handover.ts'
import { systemClock, type Clock } from '../src/runtime/clock.ts'
import { silentLogger } from '../src/runtime/logger.ts'
import { RoleTable } from '../src/store/role-table.ts'
import { TrafficTable } from '../src/store/traffic-table.ts'
import { LoadBook } from '../src/xds/load-reports/load-book.ts'
import { noCounts } from '../src/xds/load-reports/load-report.ts'
import { createTestDatabase, type TestDatabase } from './support/database.ts'
import { eventually } from './support/eventually.ts'
import { createRole } from './support/health.ts'
import { startReplica, type TestReplica } from './support/replica.ts'
import { context, instanceSpec } from './support/specs.ts'

let test: TestDatabase
/** Run before the database goes, the last first. */
let ends: (() => unknown)[] = []

beforeEach(async () => {
  test = await createTestDatabase()
})

afterEach(async () => {
  for (const end of ends.toReversed()) await end()
  ends = []
  await test.destroy()
})

const service = 'payments'
const ports = { good: 81, bad: 82, fine: 83 }

/** A replica with passive health; it ends with the test. */
const start = (id: string, members: readonly string[], clock: Clock = systemClock) => {
  const replica = startReplica(test)
  const loads = new LoadBook({ clock })
  const traffic = new TrafficHealth({
    mesh: replica.mesh,
    registry: replica.registry,
    loads,
    table: new TrafficTable<TallyRow>({ database: test.database, replica: id }),
    role: createRole(test, { owner: id, name: trafficRole }),
    members: () => members,
    clock,
    logger: silentLogger,
    intervalMs: 50,
  })
  const abort = new AbortController()
  const running = traffic.start(abort.signal)
  let stopped: Promise<void> | null = null
  const stop = (): Promise<void> =>
    (stopped ??= (async () => {
      abort.abort()
      await running
      await replica.stop()
    })())
  ends.push(stop)
  return { ...replica, traffic, loads, stop }
}

type Started = ReturnType<typeof start>

/** A sidecar reports this many successes and failures, by instance. */
const report = (
  { loads }: Started,
  reporter: string,
  seen: Partial<Record<keyof typeof ports, readonly [ok: number, failed: number]>>,
): void => {
  const endpoints = Object.entries(seen).map(([id, [succeeded, failed]]) => ({
    ...noCounts,
    address: `127.0.0.1:${ports[id as keyof typeof ports]}`,
    issued: succeeded + failed,
    succeeded,
    failed,
    metrics: new Map(),
  }))
  const failed = endpoints.reduce((sum, one) => sum + one.failed, 0)
  loads.add(
    { id: reporter, cluster: 'web', locality: { region: '', zone: '' } },
    {
      clusters: [{ ...noCounts, cluster: service, intervalMs: 1_000, dropped: 0, failed, endpoints }],
      absurd: 0,
    },
  )
}

const register = async ({ registry }: TestReplica, passiveHealth: object = {}): Promise<void> => {
  for (const [id, port] of Object.entries(ports)) {
    await registry.register({ service, id, spec: instanceSpec({ port, lease: null }) }, context)
  }
  const spec = { protocol: 'http', passiveHealth }
  await registry.applyDocument({ kind: 'Service', name: service, spec, ifMatch: null }, context)
}

const holdIn = ({ mesh }: TestReplica, id: string) => holdOf(mesh.instance(service, id))
const allIn = ({ mesh }: TestReplica): readonly Instance[] => [
  ...(mesh.service(service)?.instances.values() ?? []),
]
const rows = async (): Promise<number> => {
  const { rows: found } = await sql<{ n: string }>`select count(*) as n from traffic_tally`.execute(
    test.database,
  )
  return Number(found[0]?.n)
}

const both = ['replica-1', 'replica-2']
/** Two of them together have not made the ten requests that it takes. */
const sees = { good: [5, 0], bad: [0, 4], fine: [5, 0] } as const

describe('passive health of two replicas', () => {
  it('puts together what the sidecars of both have seen, also if a clock is wrong by an hour', async () => {
    const late: Clock = { ...systemClock, now: () => systemClock.now() + 3_600_000 }
    const [first, second] = [start('replica-1', both), start('replica-2', both, late)]
    await register(first)
    await eventually(() => {
      for (const one of [first, second]) expect(allIn(one)).toHaveLength(3)
    })
    report(first, 'web/1', sees)
    report(first, 'web/2', sees)
    await eventually(async () => {
      expect(await rows()).toBe(2)
    })
    expect(holdIn(first, 'bad')).toBeNull()
    report(second, 'web/3', sees)
    await eventually(() => {
      for (const { mesh } of [first, second]) {
        expect(mesh.instance(service, 'bad')).toMatchObject({ verdict: 'unhealthy' })
      }
    })
    const [evidence] = first.mesh.instance(service, 'bad')?.evidence ?? []
    expect(evidence).toMatchObject({
      source: 'traffic',
      status: 'critical',
      hold: { phase: 'ejected', level: 1 },
    })
    expect(evidence?.output).toMatch(/^3 of 3 sidecars that call it see it fail/)
    expect(Math.abs(Date.parse(evidence?.hold?.from ?? '') - systemClock.now())).toBeLessThan(60_000)
    expect([holdIn(first, 'good'), holdIn(first, 'fine')]).toEqual([null, null])
    // What condemned it has been forgotten with the ejection, so there is nothing to hand over any more.
    await eventually(async () => {
      expect(await rows()).toBe(0)
    })
  })

  it('hears the sidecars of another replica that have no trouble', async () => {
    const [first, second] = [start('replica-1', both), start('replica-2', both)]
    await register(first)
    await eventually(() => {
      for (const one of [first, second]) expect(one.mesh.service(service)?.document).toBeDefined()
    })
    for (const n of [1, 2, 3, 4, 5]) report(second, `orders/${n}`, { good: [5, 0], bad: [4, 0] })
    for (const n of [1, 2, 3]) report(first, `web/${n}`, sees)
    const table = new TrafficTable<TallyRow>({ database: test.database, replica: 'reader' })
    await eventually(async () => {
      const read = await table.read()
      expect(read.rows.map(({ replica, tally }) => [replica, tally['bad']?.reporters]).sort()).toEqual([
        ['replica-1', 3],
        ['replica-2', 5],
      ])
    })
    // The owner has decided with both in view more than once.
    const at = async () => {
      const { rows: found } = await sql<{ at: Date }>`select min(at) as at from traffic_tally`.execute(
        test.database,
      )
      return found[0]?.at.getTime() ?? 0
    }
    const begin = await at()
    await eventually(async () => {
      expect(await at()).toBeGreaterThan(begin + 200)
    })
    expect(holdIn(first, 'bad')).toBeNull()
  })

  it('goes on at another replica when the owner is gone', async () => {
    const [first, second] = [start('replica-1', both), start('replica-2', ['replica-2'])]
    await register(first, { baseEjectionTime: '1s', trialTime: '1s' })
    await eventually(() => {
      for (const one of [first, second]) expect(one.mesh.service(service)?.document).toBeDefined()
    })
    for (const n of [1, 2, 3]) report(first, `web/${n}`, sees)
    for (const n of [4, 5, 6]) report(second, `web/${n}`, sees)
    await eventually(() => {
      expect(holdIn(second, 'bad')).toMatchObject({ phase: 'ejected', level: 1 })
    })
    await first.stop()
    await eventually(() => {
      expect(holdIn(second, 'bad')).toMatchObject({ phase: 'trial', share: 0.1, level: 1 })
      expect(second.mesh.instance(service, 'bad')?.verdict).toBe('degraded')
    })
    await eventually(() => {
      expect(holdIn(second, 'bad')).toMatchObject({ phase: 'readmitted', level: 1 })
    })
    expect(second.mesh.instance(service, 'bad')?.verdict).toBe('healthy')
  })

  it('refuses what an owner decides after it has lost its role', async () => {
    const replica = startReplica(test)
    ends.push(() => replica.stop())
    await register(replica)
    await eventually(() => {
      expect(replica.mesh.service(service)?.document).toBeDefined()
    })
    const held = new HeldInstances({ mesh: replica.mesh, onTurn: () => undefined })
    ends.push(held.follow())
    const table = new TrafficTable<TallyRow>({ database: test.database, replica: 'replica-1' })
    const bad = { ok: 0, failed: 20, reporters: 3, against: 3, worst: [], during: null }
    await table.save([{ service, suspects: ['bad'], tally: { bad } }], [])
    const decider = new TrafficDecider({
      ...replica,
      held,
      table,
      members: () => ['replica-1'],
      clock: systemClock,
      logger: silentLogger,
    })
    const roles = new RoleTable(test.database)
    const fence = (await roles.acquire({ name: trafficRole, owner: 'replica-1', ttlMs: 60_000 })) ?? 0
    await decider.step({ role: trafficRole, fence: fence - 1 })
    expect(holdIn(replica, 'bad')).toBeNull()
    expect((await replica.log.readSnapshot()).instances.find(({ id }) => id === 'bad')?.evidence).toEqual([])
    await decider.step({ role: trafficRole, fence })
    await eventually(() => {
      expect(holdIn(replica, 'bad')).toMatchObject({ phase: 'ejected' })
    })
  })
})
