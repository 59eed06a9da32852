import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { CheckSpec, HttpCheckSpec } from '@waymark/sidecar-config/model/check.ts'
import type { Instance, InstanceSpec } from '../src/domain/instance.ts'
import { AddressPolicy } from '../src/health/checks/address-policy.ts'
import { CheckScheduler, type CheckSchedulerOptions } from '../src/health/checks/check-scheduler.ts'
import { createProbe } from '../src/health/checks/probe.ts'
import { rendezvousOwner } from '../src/health/checks/rendezvous.ts'
import { Membership } from '../src/health/membership.ts'
import { systemClock } from '../src/runtime/clock.ts'
import { silentLogger } from '../src/runtime/logger.ts'
import { CheckProgressTable } from '../src/store/check-progress-table.ts'
import { ObservationTable } from '../src/store/observation-table.ts'
import { ReplicaTable } from '../src/store/replica-table.ts'
import { createTestDatabase, type TestDatabase } from './support/database.ts'
import { eventually } from './support/eventually.ts'
import { startReplica, type TestReplica } from './support/replica.ts'
import { context, instanceSpec } from './support/specs.ts'

let test: TestDatabase
let replica: TestReplica
let target: { readonly server: Server; readonly port: number; status: number; readonly paths: string[] }
let running: { readonly abort: AbortController; readonly done: Promise<void> }[] = []

const serve = async (): Promise<typeof target> => {
  const paths: string[] = []
  const server = createServer((request, response) => {
    paths.push(request.url ?? '')
    response.statusCode = state.status
    response.end()
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const state = { server, port: (server.address() as AddressInfo).port, status: 200, paths }
  return state
}

beforeEach(async () => {
  test = await createTestDatabase()
  replica = startReplica(test)
  await replica.loaded()
  target = await serve()
})

afterEach(async () => {
  for (const { abort } of running) abort.abort()
  await Promise.all(running.map(({ done }) => done))
  running = []
  await new Promise(resolve => {
    target.server.close(resolve)
  })
  await replica.stop()
  await test.destroy()
})

const start = (component: { start(signal: AbortSignal): Promise<void> }): AbortController => {
  const abort = new AbortController()
  running.push({ abort, done: component.start(abort.signal) })
  return abort
}
const member = (id: string, liveMs = 5_000): Membership =>
  new Membership({
    liveMs,
    replicas: new ReplicaTable(test.database),
    id,
    addresses: () => ({ http: '', xds: '' }),
    clock: systemClock,
    logger: silentLogger,
    intervalMs: 20,
  })
const scheduler = (members: Membership, options: Partial<CheckSchedulerOptions> = {}): CheckScheduler =>
  new CheckScheduler({
    mesh: replica.mesh,
    members,
    registry: replica.registry,
    observations: new ObservationTable(test.database),
    progress: new CheckProgressTable(test.database),
    probe: createProbe({ policy: new AddressPolicy(), clock: systemClock }),
    replicaId: 'replica-1',
    clock: systemClock,
    random: Math.random,
    logger: silentLogger,
    confirmMs: 20,
    ...options,
  })
/** A replica's checks, running: membership and scheduler. */
const startChecks = async (id: string, options: Partial<CheckSchedulerOptions> = {}) => {
  const members = member(id)
  await members.step()
  const checks = scheduler(members, { replicaId: id, ...options })
  return { checks, stops: [start(checks), start(members)] }
}

const http = (overrides: Partial<HttpCheckSpec> = {}): CheckSpec => ({
  kind: 'http',
  intervalMs: 40,
  timeoutMs: 1_000,
  healthyThreshold: 2,
  unhealthyThreshold: 3,
  port: null,
  method: 'GET',
  path: '/healthz',
  host: null,
  headers: {},
  expect: [[200, 299]],
  ...overrides,
})
const tcp: CheckSpec = {
  kind: 'tcp',
  intervalMs: 40,
  timeoutMs: 1_000,
  healthyThreshold: 1,
  unhealthyThreshold: 1,
  port: null,
}

const service = 'orders'
const register = async (id: string, overrides: Partial<InstanceSpec> = {}): Promise<void> => {
  const spec = instanceSpec({ lease: null, port: target.port, checks: [http()], ...overrides })
  await replica.registry.register({ service, id, spec }, context)
}
const inMemory = (id: string): Instance | undefined => replica.mesh.instance(service, id)
const evidence = (id: string, source = 'check:0') =>
  inMemory(id)?.evidence.find(piece => piece.source === source)
const becomes = (id: string, verdict: string): Promise<void> =>
  eventually(() => {
    expect(inMemory(id)?.verdict).toBe(verdict)
  })
const observations = () => test.database.selectFrom('observation').selectAll().orderBy('source').execute()

describe('an active check', () => {
  it('decides the verdict: unknown until the first answer, then by its thresholds', async () => {
    await register('a')
    expect(inMemory('a')?.verdict).toBe('unknown')
    await startChecks('replica-1')
    await becomes('a', 'healthy')
    expect(evidence('a')).toMatchObject({
      observer: 'replica-1',
      status: 'passing',
      output: 'GET /healthz: 200',
    })

    const asked = target.paths.length
    target.status = 503
    await becomes('a', 'unhealthy')
    expect(evidence('a')?.output).toBe('GET /healthz: 503 after 3 tries')
    expect(target.paths.length - asked).toBeGreaterThanOrEqual(3)

    target.status = 200
    await becomes('a', 'healthy')
    // One registration, three changes of status: every other probe wrote nothing to the log.
    expect(replica.mesh.revision).toBe(4)
  })

  it('confirms what is known outside of the log', async () => {
    await register('a')
    await startChecks('replica-1')
    await becomes('a', 'healthy')
    const revision = replica.mesh.revision
    const confirmed = async () => (await observations())[0]?.observed_at.getTime() ?? 0
    await eventually(async () => {
      expect(await confirmed()).toBeGreaterThan(Date.parse(evidence('a')?.observedAt ?? '') + 200)
    })
    expect(await observations()).toMatchObject([
      {
        service,
        id: 'a',
        source: 'check:0',
        observer: 'replica-1',
        status: 'passing',
        output: 'GET /healthz: 200',
      },
    ])
    expect(replica.mesh.revision).toBe(revision)
  })

  it('takes the worst of several', async () => {
    const closed = await serve()
    await new Promise(resolve => {
      closed.server.close(resolve)
    })
    await register('a', { checks: [http(), { ...tcp, port: closed.port }] })
    await startChecks('replica-1')
    await becomes('a', 'unhealthy')
    await eventually(() => {
      expect(evidence('a', 'check:0')?.status).toBe('passing')
    })
    expect(evidence('a', 'check:1')?.output).toBe(
      `connect to port ${closed.port}: ECONNREFUSED, nothing listens there`,
    )
  })

  it('follows what is registered, and ends with the instance', async () => {
    const { checks } = await startChecks('replica-1')
    await register('a')
    await becomes('a', 'healthy')
    await register('a', { checks: [http({ path: '/other' }), tcp] })
    await eventually(() => {
      expect(target.paths.at(-1)).toBe('/other')
      expect(evidence('a', 'check:0')?.output).toBe('GET /other: 200')
      expect(evidence('a', 'check:1')?.status).toBe('passing')
    })
    expect(checks.status().targets).toBe(2)
    await register('a', { checks: [tcp] })
    await eventually(() => {
      expect(inMemory('a')?.evidence.map(({ output }) => output)).toEqual([
        `connect to port ${target.port}: accepted`,
      ])
    })
    await replica.registry.deregister({ service, id: 'a', incarnation: null, drainMs: null }, context)
    await eventually(async () => {
      expect(checks.status().targets).toBe(0)
      expect(await observations()).toEqual([])
    })
  })

  it('of a denied address fails and reaches nobody', async () => {
    await register('a', { checks: [http({ unhealthyThreshold: 1 })] })
    const policy = new AddressPolicy(['127.0.0.0/8'])
    await startChecks('replica-1', { probe: createProbe({ policy, clock: systemClock }) })
    await becomes('a', 'unhealthy')
    expect(evidence('a')?.output).toBe('127.0.0.1 is not probed: this control plane denies checks of it')
    expect(target.paths).toEqual([])
  })

  it('is written once the database takes writes again, with the latest status', async () => {
    await register('a')
    let refused = 0
    let away = true
    const { checks } = await startChecks('replica-1', {
      registry: {
        observe: (...request) => {
          if (!away) return replica.registry.observe(...request)
          refused += 1
          return Promise.reject(new Error('the database is away'))
        },
        withdraw: (...request) => replica.registry.withdraw(...request),
      },
    })
    await eventually(() => {
      expect(refused).toBeGreaterThan(0)
      expect(checks.status().unwritten).toBe(1)
    })
    target.status = 500
    const asked = target.paths.length
    await eventually(() => {
      expect(target.paths.length).toBeGreaterThan(asked + 4)
    })
    expect(inMemory('a')?.verdict).toBe('unknown')
    away = false
    await becomes('a', 'unhealthy')
    // The passing status of before was never written.
    expect(replica.mesh.revision).toBe(2)
    await eventually(() => {
      expect(checks.status().unwritten).toBe(0)
    })
  })
})

describe('checks of several replicas', () => {
  const ids = Array.from({ length: 12 }, (_, index) => `i-${index}`)
  const share = (owner: string, all: readonly string[]) =>
    ids.filter(id => rendezvousOwner(`${service}/${id}`, all) === owner).length

  it('are shared, and taken over when a replica goes', async () => {
    await Promise.all(ids.map(id => register(id)))
    // Known before the first starts: else that one could check everybody before the other arrives.
    await member('replica-2').step()
    const one = await startChecks('replica-1')
    const two = await startChecks('replica-2')
    const both = ['replica-1', 'replica-2']
    await eventually(() => {
      expect(one.checks.status().targets).toBe(share('replica-1', both))
      expect(two.checks.status().targets).toBe(share('replica-2', both))
      for (const id of ids) expect(evidence(id)).toBeDefined()
    })
    expect(share('replica-1', both)).toBeGreaterThan(0)
    expect(share('replica-2', both)).toBeGreaterThan(0)
    expect(new Set(ids.map(id => evidence(id)?.observer))).toEqual(new Set(both))

    for (const stop of two.stops) stop.abort()
    // A check under way may still be written down.
    await Promise.all(running.filter(({ abort }) => two.stops.includes(abort)).map(({ done }) => done))
    await eventually(() => {
      expect(one.checks.status().targets).toBe(ids.length)
    })
    // The new owner stands by what it found, and then speaks for itself.
    const revision = replica.mesh.revision
    target.status = 503
    for (const id of ids) await becomes(id, 'unhealthy')
    expect(replica.mesh.revision).toBe(revision + ids.length)
    expect(new Set(ids.map(id => evidence(id)?.observer))).toEqual(new Set(['replica-1']))
  })
})

describe('a replica that dies', () => {
  const ids = Array.from({ length: 12 }, (_, index) => `i-${index}`)
  /** Long enough that a slow machine does not take a living replica for a dead one. */
  const liveMs = 3_000

  /** Three replicas; each knows of all from the start. */
  const startThree = async (options: Partial<CheckSchedulerOptions> = {}) => {
    const names = ['replica-1', 'replica-2', 'replica-3']
    const members = names.map(name => member(name, liveMs))
    for (const one of members) await one.step()
    for (const one of members) await one.step()
    return members.map((one, index) => {
      const name = names[index] ?? ''
      const checks = scheduler(one, { replicaId: name, ...options })
      return { name, checks, stops: [start(checks), start(one)] }
    })
  }
  const owners = () => new Set(ids.map(id => evidence(id)?.observer))
  /** As SIGKILL does: it takes nothing back and says no goodbye. */
  const kill = async ({ name, stops }: { readonly name: string; readonly stops: AbortController[] }) => {
    for (const stop of stops) stop.abort()
    await Promise.all(running.filter(({ abort }) => stops.includes(abort)).map(({ done }) => done))
    await new ReplicaTable(test.database).announce({ id: name, http: '', xds: '' })
  }

  it('leaves its checks to the others, and no verdict changes', async () => {
    await Promise.all(ids.map(id => register(id, { checks: [http({ path: `/${id}` })] })))
    const [, , victim] = await startThree()
    await eventually(() => {
      for (const id of ids) expect(evidence(id)?.status).toBe('passing')
    })
    const theirs = ids.filter(id => evidence(id)?.observer === 'replica-3')
    expect(theirs.length).toBeGreaterThan(0)
    expect(owners().size).toBe(3)
    const revision = replica.mesh.revision
    if (victim !== undefined) await kill(victim)
    // What was probed before it died is not looked at any more.
    target.paths.length = 0
    await eventually(() => {
      for (const id of theirs)
        expect(target.paths.filter(path => path === `/${id}`).length).toBeGreaterThan(5)
    })
    expect(replica.mesh.revision).toBe(revision)
    for (const id of ids) expect(inMemory(id)?.verdict).toBe('healthy')
  })

  it('leaves what it has counted, too', async () => {
    const threshold = 60
    await register('a', { checks: [http({ unhealthyThreshold: threshold, intervalMs: 50 })] })
    const three = await startThree()
    await becomes('a', 'healthy')
    const victim = three.find(({ name }) => name === evidence('a')?.observer)
    expect(victim).toBeDefined()
    target.status = 503
    target.paths.length = 0
    const counted = async (): Promise<number> => {
      const rows = await test.database.selectFrom('check_progress').selectAll().execute()
      return rows[0]?.against ?? 0
    }
    await eventually(async () => {
      expect(await counted()).toBeGreaterThan(threshold / 2)
    })
    if (victim !== undefined) await kill(victim)
    const before = target.paths.length
    expect(before).toBeLessThan(threshold)
    await becomes('a', 'unhealthy')
    // A new owner that began anew would have needed the whole threshold again.
    expect(target.paths.length - before).toBeLessThan(threshold)
    expect(evidence('a')?.observer).not.toBe(victim?.name)
    await eventually(async () => {
      expect(await counted()).toBe(0)
    })
  })
})
