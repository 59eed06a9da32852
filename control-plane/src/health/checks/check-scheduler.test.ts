import { describe, expect, it } from 'vitest'
import { ManualClock } from '../../../test/support/manual-clock.ts'
import type { Document } from '../../domain/document.ts'
import type { ChangeSet, DocumentChange, InstanceChange } from '../../domain/change.ts'
import type { Evidence, EvidenceStatus } from '../../domain/evidence.ts'
import type { CheckSpec } from '@waymark/sidecar-config/model/check.ts'
import { instanceKey, type Instance } from '../../domain/instance.ts'
import type { Observation, Withdrawal } from '../../registry/registry.ts'
import type { CheckProgress } from '../../store/check-progress-table.ts'
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
  document: Document | undefined
  readonly #listeners = new Set<Parameters<MeshView['onDelta']>[0]>()

  constructor(instances: readonly Instance[] = []) {
    for (const one of instances) this.#instances.set(instanceKey(one.service, one.id), one)
  }

  instance(service: string, id: string): Instance | undefined {
    return this.#instances.get(instanceKey(service, id))
  }

  service(name: string): ReturnType<MeshView['service']> {
    const instances = [...this.#instances.values()].filter(({ service }) => service === name)
    return { instances: new Map(instances.map(one => [one.id, one])), document: this.document }
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

  /** One step of the feed: another document of the service, or none. */
  apply(spec: object | undefined): void {
    const before = this.document ?? null
    this.document = spec === undefined ? undefined : { kind: 'Service', name: 's', spec, revision: 1 }
    const change: DocumentChange = {
      id: '0',
      revision: 1,
      position: 0,
      occurredAt: '2026-01-01T00:00:00.000Z',
      actor: 'test',
      traceparent: null,
      aggregateType: 'document',
      aggregateId: 'Service/s',
      type: spec === undefined ? 'document.deleted' : 'document.applied',
      before,
      after: this.document ?? null,
    }
    for (const listener of this.#listeners)
      listener({ sets: [{ revision: 1, changes: [change] }], resynchronised: false })
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

const set = (
  mesh: TestMesh,
  slots = { fast: 10, slow: 10 },
  counted: readonly (CheckProgress & { readonly ageMs: number })[] = [],
  { name, clock }: { readonly name: string; readonly clock: ManualClock } = {
    name: 'me',
    clock: new ManualClock(),
  },
) => {
  const probes: { readonly id: string; readonly at: number }[] = []
  const observed: Observation[] = []
  const withdrawn: Withdrawal[] = []
  let refusal: Error | null = null
  const saved: CheckProgress[] = []
  let liveIds: readonly string[] = [name]
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
        const { source, status } = observation
        const others = before.evidence.filter(one => one.source !== source)
        const after = { ...before, evidence: [...others, { ...evidence(status), source }] }
        mesh.step({ type: 'instance.health', id: observation.id, after })
        return Promise.resolve({ result: after, revision: 1, changed: true })
      },
      withdraw: withdrawal => {
        withdrawn.push(withdrawal)
        if (refusal !== null) return Promise.reject(refusal)
        return Promise.resolve({ result: null, revision: 1, changed: true })
      },
    },
    observations: { confirm: () => Promise.resolve() },
    progress: {
      save: rows => {
        saved.push(...rows)
        return Promise.resolve()
      },
      read: () => Promise.resolve([...counted]),
    },
    // Targets are told apart by their addresses.
    probe: (_, { address }) => {
      probes.push({ id: address, at: clock.monotonic() })
      return answers.get(address)?.() ?? Promise.resolve(ok)
    },
    replicaId: name,
    clock,
    random: () => 0.5,
    logger: silentLogger,
    slots,
  })
  const stop = new AbortController()
  return {
    clock,
    probes,
    observed,
    withdrawn,
    fail: (error: Error | null) => {
      refusal = error
    },
    saved,
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
    // Within one interval: the replica before it may have been gone for a while.
    await clock.advance(5_000)
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

  it('gives every instance of a service the checks of its document, besides its own', async () => {
    const mesh = new TestMesh([at('a', 'a'), at('b', 'b', { spec: { ...instance('b').spec, checks: [] } })])
    const { clock, scheduler, observed, withdrawn } = set(mesh)
    expect(scheduler.status().targets).toBe(1)
    mesh.apply({ checks: [{ kind: 'tcp', interval: '5s' }] })
    expect(scheduler.status().targets).toBe(3)
    await clock.advance(5_000)
    expect(new Set(observed.map(({ id, source }) => `${id} ${source}`))).toEqual(
      new Set(['a check:0', 'a service-check:0', 'b service-check:0']),
    )
    // The evidence of a check that nobody asks for any more is taken back.
    const stale = { ...evidence('critical'), source: 'service-check:0' as const }
    mesh.step({ type: 'instance.health', id: 'b', after: { ...at('b', 'b'), evidence: [stale] } })
    expect(withdrawn).toEqual([])
    mesh.apply(undefined)
    expect(withdrawn).toMatchObject(['a', 'b'].map(id => ({ id, sources: ['service-check:0'] })))
    expect(scheduler.status().targets).toBe(2)
  })

  it('takes evidence back until that has succeeded', async () => {
    const stale = { ...evidence('critical'), source: 'service-check:0' as const }
    const mesh = new TestMesh([at('a', 'a', { evidence: [stale] })])
    const { clock, withdrawn, fail } = set(mesh)
    expect(withdrawn).toHaveLength(1)
    fail(new Error('the database is away'))
    mesh.apply(undefined)
    await clock.advance(20_000)
    const tries = withdrawn.length
    expect(tries).toBeGreaterThan(3)
    fail(null)
    await clock.advance(5_000)
    expect(withdrawn).toHaveLength(tries + 1)
    await clock.advance(60_000)
    expect(withdrawn).toHaveLength(tries + 1)
  })

  it('leaves a check of a service alone when its document changes elsewhere', async () => {
    const mesh = new TestMesh([at('a', 'a', { spec: { ...instance('a').spec, address: 'a', checks: [] } })])
    const { clock, times } = set(mesh)
    mesh.apply({ checks: [{ kind: 'tcp', interval: '5s' }] })
    await clock.advance(20_000)
    const count = times('a').length
    mesh.apply({ protocol: 'grpc', checks: [{ kind: 'tcp', interval: '5s' }] })
    await clock.advance(20_000)
    expect(times('a').length - count).toBe(4)
  })

  it('counts nothing for a probe that this process was too late to judge', async () => {
    const mesh = new TestMesh([at('a', 'a', { evidence: [evidence('passing')] })])
    const { clock, observed, answers, scheduler } = set(mesh)
    answers.set('a', () => Promise.resolve({ ...failed, timedOut: true, missed: true }))
    await clock.advance(60_000)
    expect(observed).toEqual([])
    expect(scheduler.status()).toMatchObject({ failures: 0 })
    expect(scheduler.status().missed).toBeGreaterThan(10)
  })

  it('goes on counting where the owner before it has stopped', async () => {
    const mesh = new TestMesh([at('a', 'a', { evidence: [evidence('passing')] })])
    const counted = {
      service: 's',
      id: 'a',
      source: 'check:0' as const,
      status: 'passing' as const,
      against: 2,
    }
    const { clock, observed, answers, times } = set(mesh, { fast: 1, slow: 1 }, [
      { ...counted, ageMs: 4_000 },
    ])
    answers.set('a', () => Promise.resolve(failed))
    await clock.advance(5_000)
    // The third failure in a row.
    expect(times('a')).toHaveLength(1)
    expect(observed).toMatchObject([{ id: 'a', status: 'critical' }])
  })

  it.each([
    ['long ago', { status: 'passing', ageMs: 30_000 }],
    ['of another status', { status: 'critical', ageMs: 1_000 }],
  ] as const)('does not count what was counted %s', async (_, row) => {
    const mesh = new TestMesh([at('a', 'a', { evidence: [evidence('passing')] })])
    const counted = { service: 's', id: 'a', source: 'check:0' as const, against: 2 }
    const { clock, observed, answers } = set(mesh, { fast: 1, slow: 1 }, [{ ...counted, ...row }])
    answers.set('a', () => Promise.resolve(failed))
    await clock.advance(5_000)
    expect(observed).toEqual([])
  })

  it('hands on what it counts, and when it counts nothing more', async () => {
    const mesh = new TestMesh([at('a', 'a', { evidence: [evidence('passing')] })])
    const { clock, saved, answers } = set(mesh)
    answers.set('a', () => Promise.resolve(failed))
    await clock.advance(10_000)
    answers.set('a', () => Promise.resolve(ok))
    await clock.advance(20_000)
    expect(saved.map(({ against }) => against)).toEqual([1, 2, 0].slice(-saved.length))
    expect(saved.at(-1)).toMatchObject({ id: 'a', source: 'check:0', against: 0 })
  })

  it('leaves no gap when a replica goes or comes, beyond the time in which that is noticed', async () => {
    const ids = Array.from({ length: 60 }, (_, index) => `i-${index}`)
    const mesh = new TestMesh(ids.map(id => at(id, id)))
    const clock = new ManualClock()
    const [a, b] = ['a', 'b'].map(name => set(mesh, { fast: 100, slow: 1 }, [], { name, clock }))
    if (a === undefined || b === undefined) throw new Error('two were asked for')
    const both = ['a', 'b']
    a.members(both)
    b.members(both)
    await clock.advance(30_000)
    // It dies; five seconds later it does not count as alive any more, and a second later that is read.
    a.members([])
    await clock.advance(6_000)
    b.members(['b'])
    await clock.advance(30_000)
    // It comes back. The other one sees it a second later, and both check in between.
    a.members(both)
    await clock.advance(1_000)
    b.members(both)
    await clock.advance(30_000)
    const interval = check.intervalMs
    for (const id of ids) {
      const times = [...a.times(id), ...b.times(id)].sort((one, other) => one - other)
      const gaps = times.slice(1).map((time, index) => time - (times[index] ?? 0))
      // The last probe of the one, the time in which it is noticed, the first probe of the other.
      expect(Math.max(...gaps)).toBeLessThanOrEqual(interval + 6_000 + interval)
      expect(clock.monotonic() - (times.at(-1) ?? 0)).toBeLessThanOrEqual(1.5 * interval)
    }
    expect(new Set([...a.observed, ...b.observed].map(({ id }) => id)).size).toBe(ids.length)
    expect(a.observed.length + b.observed.length).toBe(ids.length)
  })

  it('puts jitter on top of the turn of a check, never before it', async () => {
    const plain = at('a', 'a')
    const jittery = { ...check, jitterMs: 1_000 }
    const mesh = new TestMesh([plain])
    const other = new TestMesh([{ ...plain, spec: { ...plain.spec, checks: [jittery] } }])
    const [a, b] = [set(mesh), set(other)]
    await a.clock.advance(20_000)
    await b.clock.advance(20_000)
    // A random number of 0.5, of a jitter of one second.
    expect(b.times('a').slice(0, 3)).toEqual(
      a
        .times('a')
        .slice(0, 3)
        .map(time => time + 500),
    )
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
