import type { Revision } from '../../domain/revision.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { TypeCounters, XdsCounters } from '../counters.ts'
import type { PushTracer, StepTrace } from './push-tracer.ts'

/** A step of the source, from the first stream that it touches to the last that answers. */
class PushStep {
  /** Infinity: still being applied. */
  revision: Revision = Infinity
  trace: StepTrace | undefined
  /** Milliseconds since the epoch; undefined: no write has caused it. */
  committedAt: number | undefined
  #types = 0
  readonly #onEnd: (step: PushStep) => void

  constructor(onEnd: (step: PushStep) => void) {
    this.#onEnd = onEnd
  }

  began(): void {
    this.#types += 1
  }

  ended(): void {
    this.#types -= 1
    if (this.#types === 0) this.#onEnd(this)
  }
}

/** The streams that a step touches with resources of one type. */
export class TypeStep {
  readonly #step: PushStep
  readonly #counters: TypeCounters
  #waiting = 0
  #lastAckAt = 0

  constructor(step: PushStep, counters: TypeCounters) {
    this.#step = step
    this.#counters = counters
    step.began()
  }

  get revision(): Revision {
    return this.#step.revision
  }

  get trace(): StepTrace | undefined {
    return this.#step.trace
  }

  join(): void {
    this.#waiting += 1
  }

  /** A stream need not answer any more. `ackedAt`: since it has ACKed; milliseconds since the epoch. */
  leave(ackedAt: number | undefined): void {
    this.#waiting -= 1
    if (ackedAt !== undefined) this.#lastAckAt = Math.max(this.#lastAckAt, ackedAt)
    if (this.#step.revision !== Infinity) this.#endIfDone()
  }

  /** All that it touches is known. */
  released(): void {
    this.#endIfDone()
  }

  #endIfDone(): void {
    if (this.#waiting > 0) return
    const { committedAt } = this.#step
    if (committedAt !== undefined && this.#lastAckAt > 0) {
      this.#counters.convergence.record((this.#lastAckAt - committedAt) / 1_000)
    }
    this.#step.ended()
  }
}

/** The steps of one type. */
export class TypeSteps {
  readonly counters: TypeCounters
  readonly #open: () => PushStep
  #current: TypeStep | undefined

  constructor(counters: TypeCounters, open: () => PushStep) {
    this.counters = counters
    this.#open = open
  }

  /** That which is being applied. */
  get current(): TypeStep {
    return (this.#current ??= new TypeStep(this.#open(), this.counters))
  }

  /** It has been applied; undefined: it touched nobody. */
  close(): TypeStep | undefined {
    const closed = this.#current
    this.#current = undefined
    return closed
  }
}

/**
 * Measures how long it takes from the commit of a change to the last ACK, by type, and tells whoever traces it. A stream
 * that is touched joins the step, and leaves it when it is no longer behind it: it has ACKed or refused, it turned
 * out to have all of it, or it has ended. So a step costs each stream a comparison and two additions, and nobody looks
 * for streams.
 */
export class PushSteps {
  readonly #types = new Map<TypeCounters, TypeSteps>()
  readonly #counters: XdsCounters
  readonly #clock: Pick<Clock, 'now'>
  readonly #tracer: PushTracer | undefined
  readonly #openStep = (): PushStep => (this.#open ??= new PushStep(this.#onEnd))
  readonly #onEnd = (step: PushStep): void => {
    if (step.trace === undefined) return
    this.#traced -= 1
    step.trace.end()
  }
  #open: PushStep | undefined
  #head: Revision
  #traced = 0

  /** `head`: what has been applied before any stream came. */
  constructor(options: {
    readonly head: Revision
    readonly counters: XdsCounters
    readonly clock: Pick<Clock, 'now'>
    readonly tracer?: PushTracer | undefined
  }) {
    this.#head = options.head
    this.#counters = options.counters
    this.#clock = options.clock
    this.#tracer = options.tracer
  }

  /** Some step that is not finished is traced. */
  get traces(): boolean {
    return this.#traced > 0
  }

  of(typeUrl: string): TypeSteps {
    const counters = this.#counters.of(typeUrl)
    let steps = this.#types.get(counters)
    if (steps === undefined) this.#types.set(counters, (steps = new TypeSteps(counters, this.#openStep)))
    return steps
  }

  /**
   * All up to `revision` has been applied, and nothing of it has been sent. `committedAt`: milliseconds since the epoch;
   * undefined: just now. What was touched without a new revision is nobody's write and not measured.
   */
  release(revision: Revision, committedAt: number | undefined): void {
    const step = this.#open
    const written = revision > this.#head
    this.#head = Math.max(this.#head, revision)
    if (step === undefined) return
    this.#open = undefined
    const types = [...this.#types.values()].flatMap(type => type.close() ?? [])
    step.revision = revision
    if (written) {
      step.committedAt = committedAt ?? this.#clock.now()
      step.trace = this.#tracer?.begin(revision)
      if (step.trace !== undefined) this.#traced += 1
    }
    for (const type of types) type.released()
  }
}
