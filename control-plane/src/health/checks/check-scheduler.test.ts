import { describe, expect, it } from 'vitest'
import { ManualClock } from '../../../test/support/manual-clock.ts'
import type { ChangeSet, InstanceChange } from '../../domain/change.ts'
import type { Evidence, EvidenceStatus } from '../../domain/evidence.ts'
import type { CheckSpec } from '@waymark/sidecar-config/model/check.ts'
import { instanceKey, type Instance } from '../../domain/instance.ts'
import type { Observation } from '../../registry/registry.ts'
import { silentLogger } from '../../runtime/logger.ts'
import type { MeshView } from '../mesh-view.ts'
import { CheckScheduler } from './check-scheduler.ts'
import type { ProbeResult } from './probe-result.ts'
import { rendezvousOwner } from './rendezvous.ts'

const check: CheckSpec = {
  kind: 'tcp',
  intervalMs: 5_000,
  timeoutMs: 2_000,
  healthyThreshold: 2,
  unhealthyThreshold: 3,
  port: null,
}
const instance = (id: string, overrides: Partial<Instance> = {}): Instance => ({
  service: 's',
  id,
  incarnation: 1,
  spec: {
    address: '10.0.0.1',
    port: 80,
    version: null,
    weight: 100,
    metadata: {},
    locality: { region: '', zone: '' },
    lease: null,
    checks: [check],
    sidecar: null,
  },
  verdict: 'unknown',
  evidence: [],
  override: null,
  flapping: null,
  reviewAt: null,
  removeAt: null,
  registeredAt: '2026-01-01T00:00:00.000Z',
  revision: 1,
  ...overrides,
})
const evidence = (status: EvidenceStatus): Evidence => ({
  source: 'check:0',
  observer: 'other',
  status,
  output: '',
  observedAt: '2026-01-01T00:00:00.000Z',
  validUntil: null,
  since: '2026-01-01T00:00:00.000Z',
})

/** A mesh that a test changes by hand. */
class TestMesh implements MeshView {
  readonly #instances = new Map<string, Instance>()
  readonly #listeners = new Set<Parameters<MeshView['onDelta']>[0]>()

  constructor(instances: readonly Instance[] = []) {
    for (const one of instances) this.#instances.set(instanceKey(one.service, one.id), one)
  }

  instance(service: string, id: string): Instance | undefined {
    return this.#instances.get(instanceKey(service, id))
  }

  instances(): Iterable<Instance> {
    return this.#instances.values()
  }

  onDelta(listener: Parameters<MeshView['onDelta']>[0]): () => void {
    this.#listeners.add(listener)
    return () => {
      this.#listeners.delete(listener)
    }
  }

  /** One step of the feed. */
  step(...changes: { type: InstanceChange['type']; id: string; after: Instance | null }[]): void {
    const set: ChangeSet = {
      revision: 1,
      changes: changes.map(({ type, id, after }, position) => {
        const before = this.instance('s', id) ?? null
        if (after === null) this.#instances.delete(instanceKey('s', id))
        else this.#instances.set(instanceKey('s', id), after)
        return {
          id: `${position}`,
          revision: 1,
          position,
          occurredAt: '2026-01-01T00:00:00.000Z',
          actor: 'test',
          traceparent: null,
          aggregateType: 'instance',
          aggregateId: instanceKey('s', id),
          type,
          before: before ?? after,
          after,
        }
      }),
    }
    for (const listener of this.#listeners) listener({ sets: [set], resynchronised: false })
  }
}

const ok: ProbeResult = { ok: true, output: 'ok', timedOut: false }
const failed: ProbeResult = { ok: false, output: 'failed', timedOut: false }

const set = (mesh: TestMesh, slots = { fast: 10, slow: 10 }) => {
  const clock = new ManualClock()
  const probes: { readonly id: string; readonly at: number }[] = []
  const observed: Observation[] = []
  let liveIds: readonly string[] = ['me']
  let changed: ((ids: readonly string[]) => void) | undefined
  const answers = new Map<string, () => Promise<ProbeResult>>()
  const scheduler = new CheckScheduler({
    mesh,
    members: {
      get liveIds() {
        return liveIds
      },
      onChange: listener => {
        changed = listener
        return () => {
          changed = undefined
        }
      },
    },
    registry: {
      observe: observation => {
        observed.push(observation)
        const before = mesh.instance(observation.service, observation.id)
        if (before === undefined) return Promise.resolve({ result: null, revision: 1, changed: false })
        const after = { ...before, evidence: [evidence(observation.status)] }
        mesh.step({ type: 'instance.health', id: observation.id, after })
        return Promise.resolve({ result: after, revision: 1, changed: true })
      },
    },
    observations: { confirm: () => Promise.resolve() },
    // Targets are told apart by their addresses.
    probe: (_, { address }) => {
      probes.push({ id: address, at: clock.monotonic() })
      return answers.get(address)?.() ?? Promise.resolve(ok)
    },
    replicaId: 'me',
    clock,
    logger: silentLogger,
    slots,
  })
  const stop = new AbortController()
  return {
    clock,
    probes,
    observed,
    scheduler,
    answers,
    running: scheduler.start(stop.signal),
    stop,
    members: (ids: readonly string[]) => {
      liveIds = ids
      changed?.(ids)
    },
    times: (id: string) => probes.filter(probe => probe.id === id).map(({ at }) => at),
  }
}
const at = (id: string, address: string, overrides: Partial<Instance> = {}): Instance => {
  const base = instance(id, overrides)
  return { ...base, spec: { ...base.spec, address } }
}

describe('the scheduler of checks', () => {
  it('probes a new instance within a second, then once per interval', async () => {
    const mesh = new TestMesh()
    const { clock, times, observed, scheduler } = set(mesh)
    await clock.advance(3_300)
    mesh.step({ type: 'instance.registered', id: 'a', after: at('a', 'a') })
    await clock.advance(1_000)
    expect(times('a')).toHaveLength(1)
    await clock.advance(50_000)
    const gaps = times('a').map((time, index, all) => time - (all[index - 1] ?? 0))
    expect(gaps.slice(2).every(gap => gap === 5_000)).toBe(true)
    expect(times('a').length).toBeGreaterThanOrEqual(10)
    expect(scheduler.status()).toMatchObject({ targets: 1, probes: times('a').length, failures: 0 })
    expect(observed).toHaveLength(1)
  })

  it('spreads the checks that it finds at its start over their interval', async () => {
    const ids = Array.from({ length: 100 }, (_, index) => `i-${index}`)
    const { clock, probes } = set(new TestMesh(ids.map(id => at(id, id))), { fast: 100, slow: 1 })
    await clock.advance(50_000)
    const from = clock.monotonic() - 5_000
    const inLast = probes.filter(probe => probe.at > from).map(probe => Math.floor((probe.at - from) / 500))
    expect(inLast).toHaveLength(100)
    expect(new Set(inLast).size).toBeGreaterThanOrEqual(9)
  })

  it('lets no slow target delay another one', async () => {
    const slow = ['x', 'y', 'z', 'v', 'w']
    const mesh = new TestMesh([at('good', 'good'), ...slow.map(id => at(id, id))])
    const { clock, times, answers } = set(mesh, { fast: 1, slow: 1 })
    for (const id of slow) {
      answers.set(id, async () => {
        await clock.sleep(2_000)
        return { ok: false, output: 'no answer', timedOut: true }
      })
    }
    // A round in which they are not known as slow yet.
    await clock.advance(20_000)
    const before = times('good').length
    await clock.advance(50_000)
    expect(times('good').length - before).toBe(10)
  })

  it('runs one probe of a check at a time', async () => {
    const mesh = new TestMesh([at('a', 'a')])
    const { clock, times, answers } = set(mesh)
    answers.set('a', () => new Promise<ProbeResult>(() => undefined))
    await clock.advance(60_000)
    expect(times('a')).toHaveLength(1)
  })

  it('stands by stored evidence until its own results are enough', async () => {
    const mesh = new TestMesh([at('a', 'a', { evidence: [evidence('critical')] })])
    const { clock, observed, times } = set(mesh)
    await clock.advance(7_500)
    expect(times('a')).toHaveLength(1)
    expect(observed).toEqual([])
    await clock.advance(5_000)
    expect(observed).toMatchObject([{ id: 'a', status: 'passing', observer: 'me', source: 'check:0' }])
  })

  it('leaves the others alone when one instance changes', async () => {
    const mesh = new TestMesh([at('a', 'a'), at('b', 'b')])
    const { clock, times } = set(mesh)
    await clock.advance(20_000)
    const [before, pending] = [times('a').length, clock.pending]
    mesh.step({ type: 'instance.updated', id: 'b', after: at('b', 'c') })
    expect(clock.pending).toBe(pending)
    await clock.advance(20_000)
    expect(times('a').length - before).toBe(4)
    expect(times('c').length).toBeGreaterThanOrEqual(4)
  })

  it('keeps a check that a registration asks for in the same words', async () => {
    const mesh = new TestMesh([at('a', 'a')])
    const { clock, times, answers } = set(mesh)
    answers.set('a', () => Promise.resolve(failed))
    await clock.advance(12_500)
    const count = times('a').length
    const after = at('a', 'a')
    mesh.step({ type: 'instance.updated', id: 'a', after: { ...after, spec: { ...after.spec, weight: 7 } } })
    await clock.advance(1_000)
    // A new check would have been probed within this second.
    expect(times('a')).toHaveLength(count)
  })

  it('begins anew with an instance that comes back under an old id', async () => {
    const mesh = new TestMesh([at('a', 'a')])
    const { clock, answers, observed, scheduler, times } = set(mesh)
    answers.set('a', () => Promise.resolve(failed))
    await clock.advance(20_000)
    expect(scheduler.status()).toMatchObject({ failures: times('a').length, unwritten: 0, waiting: 0 })
    expect(observed.map(({ status }) => status)).toEqual(['critical'])
    answers.set('a', () => Promise.resolve(ok))
    mesh.step(
      { type: 'instance.deregistered', id: 'a', after: null },
      {
        type: 'instance.registered',
        id: 'a',
        after: at('a', 'a', { registeredAt: '2026-01-02T00:00:00.000Z' }),
      },
    )
    await clock.advance(1_000)
    // One success is enough for a new instance.
    expect(observed.map(({ status }) => status)).toEqual(['critical', 'passing'])
  })

  it('moves only what a change of replicas moves', async () => {
    const ids = Array.from({ length: 40 }, (_, index) => `i-${index}`)
    const mesh = new TestMesh(ids.map(id => at(id, id)))
    const { clock, scheduler, members, times } = set(mesh, { fast: 100, slow: 1 })
    await clock.advance(10_000)
    members(['me', 'other'])
    const mine = ids.filter(id => rendezvousOwner(instanceKey('s', id), ['me', 'other']) === 'me')
    expect(scheduler.status().targets).toBe(mine.length)
    const before = new Map(ids.map(id => [id, times(id).length]))
    await clock.advance(50_000)
    for (const id of ids) expect(times(id).length - (before.get(id) ?? 0)).toBe(mine.includes(id) ? 10 : 0)
    members(['me'])
    expect(scheduler.status().targets).toBe(40)
    members([])
    expect(scheduler.status().targets).toBe(0)
  })

  it('leaves no timer behind', async () => {
    const mesh = new TestMesh([at('a', 'a'), at('b', 'b')])
    const { clock, stop, running } = set(mesh)
    await clock.advance(6_000)
    expect(clock.pending).toBeGreaterThan(0)
    stop.abort()
    await running
    expect(clock.pending).toBe(0)
  })
})
