import type { Clock } from '../../runtime/clock.ts'
import type { Logger } from '../../runtime/logger.ts'

/** Warnings that are written in `windowMs`. */
const limit = 50
const windowMs = 10_000

/**
 * Writes what clients can cause as often as they like. The log must not grow with it: what is beyond the limit is
 * only counted, and the next warning says how many there were.
 */
export class BoundedLog {
  readonly #logger: Logger
  readonly #clock: Pick<Clock, 'monotonic'>
  #written = 0
  #leftOut = 0
  #since = -Infinity

  constructor(options: { logger: Logger; clock: Pick<Clock, 'monotonic'> }) {
    this.#logger = options.logger
    this.#clock = options.clock
  }

  warn(fields: object, message: string): void {
    const now = this.#clock.monotonic()
    if (now - this.#since >= windowMs) {
      this.#since = now
      this.#written = 0
    }
    if (this.#written >= limit) {
      this.#leftOut += 1
      return
    }
    this.#written += 1
    const leftOut = this.#leftOut
    this.#leftOut = 0
    this.#logger.warn(leftOut === 0 ? fields : { ...fields, leftOut }, message)
  }
}
