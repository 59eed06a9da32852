import { isDeepStrictEqual } from 'node:util'
import type { EvidenceSource, EvidenceStatus } from '../../domain/evidence.ts'
import type { CheckSpec } from '@waymark/sidecar-config/model/check.ts'
import { instanceKey, type Instance } from '../../domain/instance.ts'
import type { Clock, Timer } from '../../runtime/clock.ts'
import { delayToPhase, phaseOf } from './phase.ts'
import type { Probe, ProbeResult, ProbeTarget } from './probe-result.ts'
import type { ProbeSlots } from './probe-slots.ts'
import { afterResult, initialCheckState, type CheckState } from './threshold.ts'

/** One check of one instance. */
export interface CheckSubject {
  readonly service: string
  readonly id: string
  /** Tells an instance from an earlier one under the same id. */
  readonly registeredAt: string
  readonly source: EvidenceSource
  readonly check: CheckSpec
  readonly target: ProbeTarget
}

export const checkSource = (index: number): EvidenceSource => `check:${index}`

export const subjectOf = (instance: Instance, check: CheckSpec, index: number): CheckSubject => ({
  service: instance.service,
  id: instance.id,
  registeredAt: instance.registeredAt,
  source: checkSource(index),
  check,
  target: { address: instance.spec.address, port: check.port ?? instance.spec.port },
})

/** Whether the instance still asks for this check, in the same words, of the same target. */
export const stillAsked = (subject: CheckSubject, instance: Instance): boolean =>
  instance.spec.checks.some(
    (check, index) =>
      checkSource(index) === subject.source && isDeepStrictEqual(subjectOf(instance, check, index), subject),
  )

/** What a check stands by, with the words of the probe that has just said so, too. */
export interface CheckOutcome {
  readonly subject: CheckSubject
  readonly status: 'passing' | 'critical'
  readonly output: string
}

export interface CheckRunnerOptions {
  readonly subject: CheckSubject
  /** What the registry has as evidence from whoever checked before. */
  readonly stored: EvidenceStatus | undefined
  /** The instance is new: do not let it wait for its turn. */
  readonly fresh: boolean
  readonly probe: Probe
  readonly slots: ProbeSlots
  readonly clock: Clock
  /** Called after each probe that agrees with what the check stands by. Must not throw. */
  readonly onOutcome: (outcome: CheckOutcome) => void
}

/** A new instance gets its first probe within this time (ms), spread by its phase. */
const firstWithinMs = 1_000

/** Probes one target at its interval, one probe at a time, until it is stopped. */
export class CheckRunner {
  readonly subject: CheckSubject
  readonly #options: CheckRunnerOptions
  readonly #phaseMs: number
  readonly #stopped = new AbortController()
  #state: CheckState
  #lane: 'fast' | 'slow' = 'fast'
  #timer: Timer | null = null

  constructor(options: CheckRunnerOptions) {
    const { subject, stored } = options
    this.subject = subject
    this.#options = options
    this.#phaseMs = phaseOf(
      `${instanceKey(subject.service, subject.id)}#${subject.source}`,
      subject.check.intervalMs,
    )
    this.#state = initialCheckState(stored)
  }

  start(): void {
    const { clock, fresh } = this.#options
    const { intervalMs } = this.subject.check
    const delay = fresh
      ? this.#phaseMs % Math.min(intervalMs, firstWithinMs)
      : delayToPhase(clock.monotonic(), this.#phaseMs, intervalMs)
    this.#schedule(delay)
  }

  /** Also drops a probe in flight: its result says nothing any more. */
  stop(): void {
    this.#timer?.cancel()
    this.#stopped.abort()
  }

  #schedule(delayMs: number): void {
    this.#timer = this.#options.clock.timer(delayMs, () => {
      void this.#run()
    })
  }

  async #run(): Promise<void> {
    const { clock, slots, probe, onOutcome } = this.#options
    const { check, target } = this.subject
    const next = clock.monotonic() + delayToPhase(clock.monotonic(), this.#phaseMs, check.intervalMs)
    const signal = this.#stopped.signal
    const result = await slots.run(this.#lane, async () =>
      signal.aborted ? null : probe(check, target, signal),
    )
    if (result === null || signal.aborted) return
    this.#lane = result.timedOut ? 'slow' : 'fast'
    this.#state = afterResult(this.#state, result.ok, check)
    const status = result.ok ? 'passing' : 'critical'
    if (this.#state.status === status)
      onOutcome({ subject: this.subject, status, output: this.#words(result) })
    this.#schedule(Math.max(0, next - clock.monotonic()))
  }

  #words({ ok, output }: ProbeResult): string {
    const tries = this.subject.check.unhealthyThreshold
    return ok || tries === 1 ? output : `${output} after ${tries} tries`
  }
}
