import type { Clock } from '../../runtime/clock.ts'

export interface Newcomer {
  /** It comes with what it held on an earlier stream, and probably needs nothing. */
  readonly returning: boolean
  /** Its first request is taken now. */
  admit(): void
}

export interface AdmissionFigures {
  /** Newcomers that wait now. */
  waiting: number
  /** Newcomers that had to wait. */
  delayed: number
  admitted: number
  /** How long those waited that had to, in seconds. */
  readonly waits: { record(seconds: number): void }
}

/** Newcomers admitted in one turn of the event loop. */
const perTurn = 16

/** One place in so many is for those that need everything, however many return. */
const othersEvery = 4

/**
 * Lets new streams in at the rate that the event loop can take: a few in each turn, so that what they ask for next,
 * and changes for everybody else, come between them. A herd is served one after the other instead of all at once and
 * slowly, the cheapest first. Who comes alone does not wait. The queue is bounded by the number of streams.
 */
export class Admission {
  readonly #clock: Pick<Clock, 'soon' | 'monotonic'>
  readonly #figures: AdmissionFigures
  /** Each with the time at which it came, first in, first out. */
  readonly #returning = new Map<Newcomer, number>()
  readonly #others = new Map<Newcomer, number>()
  #admitted = 0
  #scheduled = false

  constructor(options: { clock: Pick<Clock, 'soon' | 'monotonic'>; figures: AdmissionFigures }) {
    this.#clock = options.clock
    this.#figures = options.figures
  }

  /**
   * Admits the newcomer, now or in a later turn. Returns the call with which it gives up waiting; undefined: it has been
   * admitted.
   */
  enter(newcomer: Newcomer): (() => void) | undefined {
    if (this.#figures.waiting === 0 && this.#admitted < perTurn) {
      this.#admit(newcomer)
      return undefined
    }
    const queue = newcomer.returning ? this.#returning : this.#others
    queue.set(newcomer, this.#clock.monotonic())
    this.#figures.waiting += 1
    this.#figures.delayed += 1
    return () => {
      if (queue.delete(newcomer)) this.#figures.waiting -= 1
    }
  }

  #admit(newcomer: Newcomer): void {
    this.#admitted += 1
    this.#figures.admitted += 1
    this.#schedule()
    newcomer.admit()
  }

  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    this.#clock.soon(() => {
      this.#scheduled = false
      this.#turn()
    })
  }

  #turn(): void {
    this.#admitted = 0
    while (this.#admitted < perTurn) {
      const forOthers = this.#admitted % othersEvery === othersEvery - 1
      const next = forOthers
        ? (first(this.#others) ?? first(this.#returning))
        : (first(this.#returning) ?? first(this.#others))
      if (next === undefined) return
      const [newcomer, since] = next
      this.#returning.delete(newcomer)
      this.#others.delete(newcomer)
      this.#figures.waiting -= 1
      this.#figures.waits.record((this.#clock.monotonic() - since) / 1_000)
      this.#admit(newcomer)
    }
  }
}

const first = (queue: ReadonlyMap<Newcomer, number>): [Newcomer, number] | undefined =>
  queue.entries().next().value
