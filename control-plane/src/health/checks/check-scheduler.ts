import type { ChangeSet } from '../../domain/change.ts'
import { instanceKey, type Instance } from '../../domain/instance.ts'
import type { Registry } from '../../registry/registry.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Component } from '../../runtime/component.ts'
import { Histogram } from '../../runtime/histogram.ts'
import type { Logger } from '../../runtime/logger.ts'
import type { CheckProgressTable } from '../../store/check-progress-table.ts'
import type { ObservationTable } from '../../store/observation-table.ts'
import type { Membership } from '../membership.ts'
import type { MeshView } from '../mesh-view.ts'
import { AskedChecks, sameSubject, type CheckSubject } from './asked-checks.ts'
import { checkKey, CheckRecorder } from './check-recorder.ts'
import { CheckRunner } from './check-runner.ts'
import type { Probe, ProbeResult } from './probe-result.ts'
import { ProbeSlots, type ProbeSlotsOptions } from './probe-slots.ts'
import { rendezvousOwner } from './rendezvous.ts'

export interface CheckSchedulerOptions {
  readonly mesh: MeshView
  /** Who shares the work. */
  readonly members: Pick<Membership, 'liveIds' | 'onChange'>
  readonly registry: Pick<Registry, 'observe' | 'withdraw'>
  readonly observations: Pick<ObservationTable, 'confirm'>
  readonly progress: Pick<CheckProgressTable, 'save' | 'read'>
  readonly probe: Probe
  readonly replicaId: string
  readonly clock: Clock
  readonly random: () => number
  readonly logger: Logger
  readonly slots?: ProbeSlotsOptions
  /** How often the times of unchanged checks are written. */
  readonly confirmMs?: number
}

export interface CheckStatus {
  /** Checks that this replica runs. */
  readonly targets: number
  /** Probes finished, and how many of them failed, since the start. */
  readonly probes: number
  readonly failures: number
  /** Probes that say nothing, because this process was too late to see an answer. */
  readonly missed: number
  /** Checks that are due and wait for a free slot. */
  readonly waiting: number
  /** Changed statuses that are not in the log yet. */
  readonly unwritten: number
  /** How long after their turn probes began (seconds). */
  readonly lateness: Histogram
}

const latenessBounds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
/** Counts of other replicas that are read when their checks are taken over. */
const progressLimit = 50_000
/** From the last count that a replica has written to the moment at which another one has taken over, at most. */
const takeoverMs = 15_000

/**
 * Runs the active checks of the instances that are this replica's share. Follows the mesh state step by step: a
 * changed instance costs its own checks, a changed document of a service those of its instances, and no timer looks at
 * more than one check. When replicas come or go each instance's owner is decided anew, which moves only what the change
 * of members moves. A new owner stands by the evidence that it finds, and goes on counting where the one before has
 * stopped.
 */
export class CheckScheduler implements Component {
  readonly name = 'checks'
  readonly #options: CheckSchedulerOptions
  readonly #asked: AskedChecks
  readonly #recorder: CheckRecorder
  readonly #slots: ProbeSlots
  /** By instance; only of instances that are ours. */
  readonly #runners = new Map<string, readonly CheckRunner[]>()
  readonly #counts = { probes: 0, failures: 0, missed: 0 }
  readonly #lateness = new Histogram(latenessBounds)

  constructor(options: CheckSchedulerOptions) {
    this.#options = options
    this.#asked = new AskedChecks(options.mesh)
    this.#recorder = new CheckRecorder({ ...options, asked: this.#asked })
    this.#slots = new ProbeSlots(options.slots ?? { fast: 512, slow: 128 })
  }

  status(): CheckStatus {
    let targets = 0
    for (const runners of this.#runners.values()) targets += runners.length
    return {
      targets,
      ...this.#counts,
      waiting: this.#slots.waiting,
      unwritten: this.#recorder.unwritten,
      lateness: this.#lateness,
    }
  }

  async start(signal: AbortSignal): Promise<void> {
    const { mesh, members, clock, confirmMs } = this.#options
    const ends = [
      mesh.onDelta(({ sets, resynchronised }) => {
        if (resynchronised) this.#followAll()
        else this.#followChanges(sets)
      }),
      members.onChange(() => {
        this.#followAll()
        void this.#resume()
      }),
    ]
    this.#followAll()
    void this.#resume()
    while (!signal.aborted) {
      await clock.sleep(confirmMs ?? 5_000, signal)
      await this.#recorder.flush()
      for (const { service, id } of this.#recorder.takeLeft()) {
        const instance = mesh.instance(service, id)
        if (instance !== undefined) this.#follow(instanceKey(service, id), instance, false)
      }
    }
    for (const end of ends) end()
    for (const key of this.#runners.keys()) this.#stop(key)
  }

  #followChanges(sets: readonly ChangeSet[]): void {
    for (const { changes } of sets) {
      for (const change of changes) {
        const subject = change.after ?? change.before
        if (subject === null) continue
        if ('kind' in subject) {
          if (subject.kind === 'Service') this.#followService(subject.name)
          continue
        }
        // The state after the whole step: one instance may have changed more than once in it.
        const instance = this.#options.mesh.instance(subject.service, subject.id)
        const key = instanceKey(subject.service, subject.id)
        if (instance === undefined) this.#stop(key)
        else this.#follow(key, instance, change.type !== 'instance.health')
      }
    }
  }

  #followService(name: string): void {
    for (const instance of this.#options.mesh.service(name)?.instances.values() ?? []) {
      this.#follow(instanceKey(instance.service, instance.id), instance, false)
    }
  }

  #followAll(): void {
    const left = new Set(this.#runners.keys())
    for (const instance of this.#options.mesh.instances()) {
      // Most have no check: nothing is made for them.
      if (left.size === 0 && !this.#asked.concerns(instance)) continue
      const key = instanceKey(instance.service, instance.id)
      left.delete(key)
      this.#follow(key, instance, false)
    }
    for (const key of left) this.#stop(key)
  }

  #follow(key: string, instance: Instance, fresh: boolean): void {
    const { members, replicaId } = this.#options
    const before = this.#runners.get(key) ?? []
    const subjects = this.#asked.of(instance)
    const stale = this.#asked.stale(instance)
    if (subjects.length === 0 && before.length === 0 && stale.length === 0) return
    if (rendezvousOwner(key, members.liveIds) !== replicaId) {
      this.#stop(key)
      return
    }
    const sources = stale.map(({ source }) => source)
    if (sources.length > 0) this.#recorder.withdraw(instance, sources)
    const kept = before.filter(({ subject }) => subjects.some(asked => sameSubject(asked, subject)))
    for (const runner of before) if (!kept.includes(runner)) this.#end(runner)
    const runners = subjects.map(
      subject =>
        kept.find(({ subject: { source } }) => source === subject.source) ??
        this.#begin(instance, subject, fresh),
    )
    if (runners.length > 0) this.#runners.set(key, runners)
    else this.#runners.delete(key)
  }

  #begin({ evidence }: Instance, subject: CheckSubject, fresh: boolean): CheckRunner {
    const { clock, random } = this.#options
    const runner = new CheckRunner({
      subject,
      stored: evidence.find(({ source }) => source === subject.source)?.status,
      fresh,
      probe: (...request) => this.#probe(...request),
      slots: this.#slots,
      clock,
      random,
      onOutcome: outcome => {
        this.#recorder.take(outcome)
      },
      onBegin: lateMs => {
        this.#lateness.record(lateMs / 1_000)
      },
    })
    runner.start()
    return runner
  }

  async #probe(...request: Parameters<Probe>): Promise<ProbeResult> {
    const result = await this.#options.probe(...request)
    const [, , signal] = request
    if (!signal.aborted) {
      this.#counts.probes += 1
      if (result.missed === true) this.#counts.missed += 1
      else if (!result.ok) this.#counts.failures += 1
    }
    return result
  }

  /** Counts that the owners before have left. What cannot be read is counted anew: that only takes longer. */
  async #resume(): Promise<void> {
    const { progress, logger } = this.#options
    try {
      const rows = await progress.read(progressLimit)
      for (const row of rows) {
        const runners = this.#runners.get(instanceKey(row.service, row.id)) ?? []
        const runner = runners.find(({ subject }) => checkKey(subject) === checkKey(row))
        const freshMs = 2 * (runner?.subject.check.intervalMs ?? 0) + takeoverMs
        if (row.ageMs <= freshMs) runner?.resume(row)
      }
    } catch (error) {
      logger.debug({ error: String(error) }, 'what other replicas have counted could not be read')
    }
  }

  #stop(key: string): void {
    for (const runner of this.#runners.get(key) ?? []) this.#end(runner)
    this.#runners.delete(key)
  }

  #end(runner: CheckRunner): void {
    runner.stop()
    this.#recorder.forget(runner.subject)
  }
}
