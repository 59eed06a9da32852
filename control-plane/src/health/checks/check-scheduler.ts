import type { ChangeSet } from '../../domain/change.ts'
import { instanceKey, type Instance } from '../../domain/instance.ts'
import type { Registry } from '../../registry/registry.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Component } from '../../runtime/component.ts'
import type { Logger } from '../../runtime/logger.ts'
import type { ObservationTable } from '../../store/observation-table.ts'
import type { Membership } from '../membership.ts'
import type { MeshView } from '../mesh-view.ts'
import { CheckRecorder } from './check-recorder.ts'
import { CheckRunner, checkSource, stillAsked, subjectOf, type CheckSubject } from './check-runner.ts'
import type { Probe, ProbeResult } from './probe-result.ts'
import { ProbeSlots, type ProbeSlotsOptions } from './probe-slots.ts'
import { rendezvousOwner } from './rendezvous.ts'

export interface CheckSchedulerOptions {
  readonly mesh: MeshView
  /** Who shares the work. */
  readonly members: Pick<Membership, 'liveIds' | 'onChange'>
  readonly registry: Pick<Registry, 'observe'>
  readonly observations: Pick<ObservationTable, 'confirm'>
  readonly probe: Probe
  readonly replicaId: string
  readonly clock: Clock
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
  /** Checks that are due and wait for a free slot. */
  readonly waiting: number
  /** Changed statuses that are not in the log yet. */
  readonly unwritten: number
}

/**
 * Runs the active checks of the instances that are this replica's share. Follows the mesh state step by step: a
 * changed instance costs its own checks, and no timer looks at more than one check. When replicas come or go each
 * instance's owner is decided anew, which moves only what the change of members moves.
 */
export class CheckScheduler implements Component {
  readonly name = 'checks'
  readonly #options: CheckSchedulerOptions
  readonly #recorder: CheckRecorder
  readonly #slots: ProbeSlots
  /** By instance; only of instances that are ours. */
  readonly #runners = new Map<string, readonly CheckRunner[]>()
  readonly #counts = { probes: 0, failures: 0 }

  constructor(options: CheckSchedulerOptions) {
    this.#options = options
    this.#recorder = new CheckRecorder(options)
    this.#slots = new ProbeSlots(options.slots ?? { fast: 512, slow: 128 })
  }

  status(): CheckStatus {
    let targets = 0
    for (const runners of this.#runners.values()) targets += runners.length
    return { targets, ...this.#counts, waiting: this.#slots.waiting, unwritten: this.#recorder.unwritten }
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
      }),
    ]
    this.#followAll()
    while (!signal.aborted) {
      await clock.sleep(confirmMs ?? 5_000, signal)
      await this.#recorder.flush()
    }
    for (const end of ends) end()
    for (const key of this.#runners.keys()) this.#stop(key)
  }

  #followChanges(sets: readonly ChangeSet[]): void {
    for (const { changes } of sets) {
      for (const change of changes) {
        if (change.aggregateType !== 'instance') continue
        const subject = change.after ?? change.before
        if (subject === null) continue
        // The state after the whole step: one instance may have changed more than once in it.
        const instance = this.#options.mesh.instance(subject.service, subject.id)
        const key = instanceKey(subject.service, subject.id)
        if (instance === undefined) this.#stop(key)
        else this.#follow(key, instance, change.type === 'instance.registered')
      }
    }
  }

  #followAll(): void {
    const seen = new Set<string>()
    for (const instance of this.#options.mesh.instances()) {
      const key = instanceKey(instance.service, instance.id)
      seen.add(key)
      this.#follow(key, instance, false)
    }
    for (const key of this.#runners.keys()) if (!seen.has(key)) this.#stop(key)
  }

  #follow(key: string, instance: Instance, fresh: boolean): void {
    const { members, replicaId } = this.#options
    const before = this.#runners.get(key) ?? []
    if (instance.spec.checks.length === 0 && before.length === 0) return
    const ours = instance.spec.checks.length > 0 && rendezvousOwner(key, members.liveIds) === replicaId
    if (!ours) {
      this.#stop(key)
      return
    }
    const kept = before.filter(({ subject }) => stillAsked(subject, instance))
    for (const runner of before) if (!kept.includes(runner)) this.#end(runner)
    const runners = instance.spec.checks.map(
      (check, index) =>
        kept.find(({ subject }) => subject.source === checkSource(index)) ??
        this.#begin(instance, subjectOf(instance, check, index), fresh || before.length > 0),
    )
    this.#runners.set(key, runners)
  }

  #begin({ evidence }: Instance, subject: CheckSubject, fresh: boolean): CheckRunner {
    const runner = new CheckRunner({
      subject,
      stored: evidence.find(({ source }) => source === subject.source)?.status,
      fresh,
      probe: (...request) => this.#probe(...request),
      slots: this.#slots,
      clock: this.#options.clock,
      onOutcome: outcome => {
        this.#recorder.take(outcome)
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
      if (!result.ok) this.#counts.failures += 1
    }
    return result
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
