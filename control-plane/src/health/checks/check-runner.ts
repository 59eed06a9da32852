import type { EvidenceStatus } from '../../domain/evidence.ts'
import { instanceKey } from '../../domain/instance.ts'
import type { Clock, Timer } from '../../runtime/clock.ts'
import type { CheckSubject } from './asked-checks.ts'
import { delayToPhase, firstDelay, phaseOf } from './phase.ts'
import type { Probe, ProbeResult } from './probe-result.ts'
import type { ProbeSlots } from './probe-slots.ts'
import { afterResult, initialCheckState, type CheckState } from './threshold.ts'

/** What a check stands by after a probe, which agrees with it or speaks against it. */
export interface CheckOutcome {
  readonly subject: CheckSubject
  /** null: not decided yet. */
  readonly status: CheckState['status']
  /** Results in a row that speak against `status`; 0: the last one agrees with it. */
  readonly against: number
  /** The words of the last probe. */
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
  readonly random: () => number
  /** Called after each probe that says something. Must not throw. */
  readonly onOutcome: (outcome: CheckOutcome) => void
  /** Called when a probe begins, with how long after its turn that is (ms). */
  readonly onBegin: (lateMs: number) => void
}

/** Probes one target at its interval, one probe at a time, until it is stopped. */
export class CheckRunner {
  readonly subject: CheckSubject
  readonly #options: CheckRunnerOptions
  readonly #phaseMs: number
  readonly #stopped = new AbortController()
  #state: CheckState
  /** Nothing was seen here yet. */
  #blank = true
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
    this.#schedule(firstDelay({ nowMs: clock.monotonic(), phaseMs: this.#phaseMs, intervalMs, fresh }))
  }

  /** Goes on counting where the owner before has stopped, unless something was seen here already. */
  resume({ status, against }: CheckState): void {
    if (this.#blank && status === this.#state.status) this.#state = { status, against }
  }

  /** Also drops a probe in flight: its result says nothing any more. */
  stop(): void {
    this.#timer?.cancel()
    this.#stopped.abort()
  }

  #schedule(delayMs: number): void {
    const { clock, random } = this.#options
    const { jitterMs = 0 } = this.subject.check
    const delay = delayMs + (jitterMs === 0 ? 0 : random() * jitterMs)
    const due = clock.monotonic() + delay
    this.#timer = clock.timer(delay, () => {
      void this.#run(due)
    })
  }

  async #run(due: number): Promise<void> {
    const { clock, slots, probe, onBegin } = this.#options
    const { check, target } = this.subject
    const next = clock.monotonic() + delayToPhase(clock.monotonic(), this.#phaseMs, check.intervalMs)
    const signal = this.#stopped.signal
    const result = await slots.run(this.#lane, async () => {
      if (signal.aborted) return null
      onBegin(clock.monotonic() - due)
      return probe(check, target, signal)
    })
    if (result === null || signal.aborted) return
    this.#lane = result.timedOut ? 'slow' : 'fast'
    if (result.missed !== true) this.#take(result)
    this.#schedule(Math.max(0, next - clock.monotonic()))
  }

  #take(result: ProbeResult): void {
    this.#blank = false
    this.#state = afterResult(this.#state, result.ok, this.subject.check)
    const { status, against } = this.#state
    this.#options.onOutcome({ subject: this.subject, status, against, output: this.#words(result) })
  }

  #words({ ok, output }: ProbeResult): string {
    const tries = this.subject.check.unhealthyThreshold
    return ok || tries === 1 ? output : `${output} after ${tries} tries`
  }
}
