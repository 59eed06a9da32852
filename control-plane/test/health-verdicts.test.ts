/** Verdicts that change by themselves: overrides and holds end by Postgres's clock, through the log. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { EvidenceStatus } from '../src/domain/evidence.ts'
import type { FlapPolicy } from '../src/domain/flapping.ts'
import type { Instance } from '../src/domain/instance.ts'
import { sweeperRole } from '../src/health/sweeper.ts'
import { Registry, type WriteLog } from '../src/registry/registry.ts'
import { FencedError } from '../src/store/write.ts'
import { createTestDatabase, type TestDatabase } from './support/database.ts'
import { eventually } from './support/eventually.ts'
import { createSweeper } from './support/health.ts'
import { startReplica, type TestReplica } from './support/replica.ts'
import { context, instanceSpec } from './support/specs.ts'

let test: TestDatabase
let replica: TestReplica
let stop: AbortController
let running: Promise<void>[] = []

beforeEach(async () => {
  test = await createTestDatabase()
  replica = startReplica(test)
  stop = new AbortController()
  await replica.loaded()
})

afterEach(async () => {
  stop.abort()
  await Promise.all(running)
  running = []
  await replica.stop()
  await test.destroy()
})

const service = 'orders'
const id = 'a'
const inMemory = (): Instance | undefined => replica.mesh.instance(service, id)
const register = async (): Promise<void> => {
  await replica.registry.register({ service, id, spec: instanceSpec({ lease: null }) }, context)
}
const sweeper = (owner = 'replica-1') => {
  const created = createSweeper(test, replica, { owner, intervalMs: 20 })
  running.push(created.start(stop.signal))
  return created
}
const history = async (): Promise<string[]> => {
  const rows = await test.database.selectFrom('change').selectAll().orderBy('revision').execute()
  return rows.map(({ actor, type, payload }) => {
    const after = payload.after as Instance | null
    return `${actor} ${type} ${after?.verdict ?? 'gone'}`
  })
}

describe('an override', () => {
  const set = (ends: { afterMs: number } | { at: string } | null, registry = replica.registry) =>
    registry.override({ service, id, override: { status: 'maintenance', reason: 'disk', ends } }, context)

  it('ends by itself, through the log and as the work of the sweeper', async () => {
    await register()
    await set({ afterMs: 300 })
    expect(inMemory()?.override?.expiresAt).toBe(inMemory()?.reviewAt)
    sweeper()
    sweeper('replica-2')
    await eventually(() => {
      expect(inMemory()).toMatchObject({ verdict: 'unknown', override: null, reviewAt: null })
    })
    expect(await history()).toEqual([
      'test instance.registered unknown',
      'test instance.health maintenance',
      'sweeper instance.health unknown',
    ])
  })

  it('stands until its time, also when evidence comes in between', async () => {
    await register()
    const { result } = await set({ at: '2999-01-01T00:00:00.000Z' })
    expect(result.override?.expiresAt).toBe('2999-01-01T00:00:00.000Z')
    sweeper()
    await observe('critical')
    expect(inMemory()?.verdict).toBe('maintenance')
    // An equal one changes nothing; another end is a change.
    expect((await set({ at: '2999-01-01T00:00:00.000Z' })).changed).toBe(false)
    expect((await set(null)).result.override?.expiresAt).toBeNull()
    expect(inMemory()?.reviewAt).toBeNull()
  })

  it('is refused when its time has passed by the clock of Postgres', async () => {
    await register()
    await expect(set({ at: '2020-01-01T00:00:00.000Z' })).rejects.toMatchObject({
      code: 'invalid_request',
      fields: [{ pointer: '/expiresAt' }],
    })
  })

  it('is not ended by a replica that does not own the role', async () => {
    await register()
    await set({ afterMs: 1 })
    const fence = { role: sweeperRole, fence: 99 }
    await expect(replica.registry.review({ service, id, fence }, context)).rejects.toBeInstanceOf(FencedError)
    expect(inMemory()?.verdict).toBe('maintenance')
  })
})

const observe = (status: EvidenceStatus, registry = replica.registry, validForMs: number | null = null) =>
  registry.observe(
    { service, id, source: 'report', observer: 'test', status, output: '', validForMs },
    context,
  )

describe('an instance that flaps', () => {
  const policy: FlapPolicy = { holdAt: 4, releaseBelow: 2, halfLifeMs: 1_000, maxHoldMs: 10_000 }

  it('is held at its worse verdict, and let go when it has been quiet', async () => {
    const log: WriteLog = {
      submit: write => replica.sequencer.submit(write),
      submitAll: writes => replica.sequencer.submitAll(writes),
    }
    const registry = new Registry({ ...log, flapPolicy: policy })
    const quiet = new Registry({ ...log, flapPolicy: null })
    await register()
    await observe('passing', registry)
    // Changes count by how fast they come: on a slow machine it takes more of them.
    await eventually(async () => {
      for (const status of ['critical', 'passing'] as const) await observe(status, registry)
      expect(inMemory()?.flapping?.held ?? null).not.toBeNull()
    })
    expect(inMemory()).toMatchObject({ verdict: 'unhealthy', flapping: { seen: 'healthy' } })
    // What the log says is what memory has.
    const held = inMemory()?.flapping?.held
    expect(held?.until).toBe(inMemory()?.reviewAt)
    const owner = createSweeper(test, { ...replica, registry }, { owner: 'replica-1', intervalMs: 20 })
    running.push(owner.start(stop.signal))
    await eventually(() => {
      expect(inMemory()?.verdict).toBe('healthy')
    })
    expect(inMemory()?.flapping?.held ?? null).toBeNull()
    expect((await history()).at(-1)).toBe('sweeper instance.health healthy')
    // Without a policy every change counts at once.
    expect((await observe('critical', quiet)).result?.verdict).toBe('unhealthy')
    expect((await observe('passing', quiet)).result).toMatchObject({ verdict: 'healthy', flapping: null })
  })
})

describe('evidence that goes stale', () => {
  it('changes the verdict when its time is over', async () => {
    await register()
    await observe('critical', replica.registry, 300)
    expect(inMemory()?.verdict).toBe('unhealthy')
    sweeper()
    await eventually(() => {
      expect(inMemory()?.verdict).toBe('unknown')
    })
    expect(inMemory()?.evidence).toHaveLength(1)
    expect((await history()).at(-1)).toBe('sweeper instance.health unknown')
  })
})
