import type { Clock } from '../runtime/clock.ts'

/** A turn ends after so many milliseconds: what sidecars get, and what has come in, is not kept waiting for longer. */
const turnMs = 4
/** Or after so many steps, for what they leave to be done after the turn. */
const stepsPerTurn = 500
/** Steps between two looks at the clock. */
const stepsPerLook = 8

interface TurnsOptions {
  readonly clock: Clock
  readonly stepsPerTurn?: number
}

/** Pieces of work that are done one after the other. A generator yields after each step. */
export class Lane {
  readonly #schedule: () => void
  #queue: Iterator<undefined>[] = []

  constructor(schedule: () => void) {
    this.#schedule = schedule
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

  /** Does the next step. False: there is none. */
  step(): boolean {
    for (;;) {
      const [work] = this.#queue
      if (work === undefined) return false
      if (work.next().done !== true) return true
      // It may have cleared the lane.
      if (this.#queue[0] === work) this.#queue.shift()
    }
  }
}

/**
 * Work in small steps, in later turns of the event loop: what sidecars get goes first, and no turn takes long. Lanes
 * take steps by turns, so that none of them waits for all of another.
 */
export class Turns {
  readonly #clock: Clock
  readonly #stepsPerTurn: number
  readonly #lanes: Lane[] = []
  #scheduled = false

  constructor(options: TurnsOptions) {
    this.#clock = options.clock
    this.#stepsPerTurn = options.stepsPerTurn ?? stepsPerTurn
  }

  lane(): Lane {
    const lane = new Lane(() => {
      this.#schedule()
    })
    this.#lanes.push(lane)
    return lane
  }

  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    this.#clock.soon(() => {
      this.#scheduled = false
      this.#turn()
      if (this.#lanes.some(({ size }) => size > 0)) this.#schedule()
    })
  }

  #turn(): void {
    const end = this.#clock.monotonic() + turnMs
    let steps = 0
    for (let busy = true; busy;) {
      busy = false
      for (const lane of this.#lanes) {
        if (!lane.step()) continue
        busy = true
        steps += 1
        if (steps >= this.#stepsPerTurn) return
        if (steps % stepsPerLook === 0 && this.#clock.monotonic() >= end) return
      }
    }
  }
}
