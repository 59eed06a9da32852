import type { Clock } from '../runtime/clock.ts'

/** Steps of one turn: some milliseconds. */
const stepsPerTurn = 250

/**
 * Work in small steps, one after the other, in later turns of the event loop: what sidecars get goes first, and no turn
 * takes long. A generator yields after each step.
 */
export class Turns {
  readonly #clock: Clock
  readonly #stepsPerTurn: number
  #queue: Iterator<undefined>[] = []
  #scheduled = false

  constructor(options: { readonly clock: Clock; readonly stepsPerTurn?: number }) {
    this.#clock = options.clock
    this.#stepsPerTurn = options.stepsPerTurn ?? stepsPerTurn
  }

  /** Pieces of work that wait. */
  get size(): number {
    return this.#queue.length
  }

  add(work: Iterator<undefined>): void {
    this.#queue.push(work)
    this.#schedule()
  }

  /** Work that has not been done will not be. */
  clear(): void {
    this.#queue = []
  }

  #schedule(): void {
    if (this.#scheduled || this.#queue.length === 0) return
    this.#scheduled = true
    this.#clock.soon(() => {
      this.#scheduled = false
      this.#turn()
      this.#schedule()
    })
  }

  #turn(): void {
    for (let steps = 0; steps < this.#stepsPerTurn;) {
      const [work] = this.#queue
      if (work === undefined) return
      if (work.next().done === true) this.#queue.shift()
      else steps += 1
    }
  }
}
