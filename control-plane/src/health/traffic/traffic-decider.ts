import type { Instance } from '../../domain/instance.ts'
import type { Revision } from '../../domain/revision.ts'
import type { Registry } from '../../registry/registry.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Logger } from '../../runtime/logger.ts'
import type { TrafficTable } from '../../store/traffic-table.ts'
import { FencedError } from '../../store/write.ts'
import { decideTraffic, type TrafficDecision, type TrafficSubject } from './decide-traffic.ts'
import { holdOf, type HeldInstances } from './held-instances.ts'
import { mergeTallies, type InstanceTally } from './tally.ts'
import { settingsOf, type TrafficMesh } from './traffic-book.ts'
import type { TallyRow } from './traffic-handover.ts'

export interface TrafficDeciderOptions {
  readonly mesh: TrafficMesh & { readonly revision: Revision }
  readonly held: Pick<HeldInstances, 'services'>
  readonly table: Pick<TrafficTable<TallyRow>, 'read'>
  readonly registry: Pick<Registry, 'observe' | 'withdraw'>
  /** The replicas that run; empty while nobody knows. */
  readonly members: () => readonly string[]
  readonly clock: Pick<Clock, 'monotonic'>
  readonly logger: Logger
  /** How long to wait for a replica that says nothing about a service (ms). */
  readonly patienceMs?: number
}

interface Fence {
  readonly role: string
  readonly fence: number
}

const actor = { actor: 'traffic', traceparent: null }

const subjectOf = (instance: Instance): TrafficSubject => ({
  id: instance.id,
  hold: holdOf(instance),
  present: instance.override === null,
  routable:
    instance.verdict === 'healthy' || instance.verdict === 'degraded' || instance.verdict === 'unknown',
})

const samePlace = (a: Instance, b: Instance): boolean =>
  a.spec.address === b.spec.address &&
  a.spec.port === b.spec.port &&
  a.spec.sidecar?.port === b.spec.sidecar?.port

/**
 * Turns what all replicas have handed over into evidence. Runs on the owner of the role only: every write is fenced,
 * and looks once more at what it decides about. What it knows is in the log, so a new owner goes on where the last
 * one stopped.
 */
export class TrafficDecider {
  readonly #options: TrafficDeciderOptions
  /** Services that rows are about, and since when (monotonic). */
  #open = new Map<string, number>()
  /** What the mesh must show before the next decision. */
  #written: Revision = 0
  /** What it showed in the last step. */
  #seen: Revision = 0
  #spared = 0
  #ejections = 0

  constructor(options: TrafficDeciderOptions) {
    this.#options = options
  }

  /** Ejections decided here, and instances that the cap spared in the last step. */
  get counters(): { readonly ejections: number; readonly spared: number } {
    return { ejections: this.#ejections, spared: this.#spared }
  }

  /** Rejects when the database does not answer; what could not be written is decided again in the next step. */
  async step(fence: Fence): Promise<void> {
    const { table, held, mesh } = this.#options
    const { now, rows } = await table.read()
    // The database was restored: what was written is gone.
    if (mesh.revision < this.#seen) this.#written = 0
    this.#seen = mesh.revision
    if (mesh.revision < this.#written) return
    const byService = new Map<string, Map<string, TallyRow>>()
    for (const { service, replica, tally } of rows) {
      const entry = byService.get(service) ?? new Map<string, TallyRow>()
      byService.set(service, entry)
      entry.set(replica, tally)
    }
    this.#remember([...byService.keys()])
    this.#spared = 0
    for (const service of new Set([...byService.keys(), ...held.services()])) {
      const told = byService.get(service)
      const heard = told !== undefined && this.#isComplete(service, told)
      await this.#decide({ service, now, fence, told: heard ? told : new Map() })
    }
  }

  /** Whether every replica has said what its sidecars have seen, or had time enough to. */
  #isComplete(service: string, told: ReadonlyMap<string, TallyRow>): boolean {
    const { members, clock, patienceMs = 5_000 } = this.#options
    const since = this.#open.get(service) ?? clock.monotonic()
    if (clock.monotonic() - since >= patienceMs) return true
    const running = members()
    return running.length > 0 && running.every(id => told.has(id))
  }

  /**
   * What all replicas say of an instance during its present hold; null while one that runs has not noticed yet that
   * the hold has changed. What a replica that has gone left behind of another hold counts no more.
   */
  #merge(told: ReadonlyMap<string, TallyRow>, id: string, during: string | null): InstanceTally | null {
    const running = this.#options.members()
    const tallies: InstanceTally[] = []
    for (const [replica, row] of told) {
      const tally = row[id]
      if (tally === undefined) continue
      if (tally.during === during) tallies.push(tally)
      else if (running.includes(replica)) return null
    }
    return mergeTallies(tallies)
  }

  #remember(services: readonly string[]): void {
    const now = this.#options.clock.monotonic()
    this.#open = new Map(services.map(service => [service, this.#open.get(service) ?? now]))
  }

  async #decide(options: {
    readonly service: string
    readonly now: number
    readonly fence: Fence
    readonly told: ReadonlyMap<string, TallyRow>
  }): Promise<void> {
    const { service, now, fence, told } = options
    const { mesh } = this.#options
    const state = mesh.service(service)
    if (state === undefined) return
    const tally = new Map<string, InstanceTally>()
    for (const id of new Set([...told.values()].flatMap(row => Object.keys(row)))) {
      const merged = this.#merge(told, id, holdOf(state.instances.get(id))?.from ?? null)
      if (merged !== null) tally.set(id, merged)
    }
    const settings = settingsOf(mesh, service)
    const instances = [...state.instances.values()].map(subjectOf)
    const { decisions, spared } = decideTraffic({ now, settings, instances, tally })
    this.#spared += spared.length
    await Promise.all(
      decisions.map(async decision => {
        const instance = state.instances.get(decision.id)
        if (instance !== undefined) await this.#write(instance, decision, fence)
      }),
    )
  }

  async #write(instance: Instance, decision: TrafficDecision, fence: Fence): Promise<void> {
    const { registry, logger } = this.#options
    const { service, id } = instance
    const before = holdOf(instance)
    const stillTrue = (now: Instance): boolean =>
      holdOf(now)?.from === before?.from &&
      samePlace(now, instance) &&
      now.registeredAt === instance.registeredAt
    try {
      if (decision.hold === null) {
        const { registeredAt } = instance
        const sources = ['traffic'] as const
        const { revision } = await registry.withdraw({ service, id, sources, registeredAt, fence }, actor)
        this.#written = Math.max(this.#written, revision)
        return
      }
      const { hold, status, output, validForMs } = decision
      const observer = `load reports of sidecars, ${fence.role} ${fence.fence}`
      const { revision, changed } = await registry.observe(
        { service, id, source: 'traffic', observer, status, output, validForMs, hold, fence, stillTrue },
        actor,
      )
      this.#written = Math.max(this.#written, revision)
      if (!changed) return
      if (hold.phase === 'ejected') this.#ejections += 1
      logger.info({ service, id, phase: hold.phase, output }, 'passive health has decided about an instance')
    } catch (error) {
      // The role's owner hears of the loss by itself.
      if (error instanceof FencedError) return
      logger.warn({ service, id, error: String(error) }, 'a decision of passive health could not be written')
    }
  }
}
