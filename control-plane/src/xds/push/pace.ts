import type { Clock } from '../../runtime/clock.ts'

export interface PaceFigures {
  /** Requests after which their stream had to wait before it was read again. */
  paced: number
}

/** What one stream has left; made by `Pace.open`. */
export interface PaceAccount {
  /** Milliseconds of the event loop. */
  left: number
  /** When that was; on the monotonic clock. */
  at: number
}

/** What a stream may use at once: more than a sidecar needs to begin in a large mesh. */
const burstMs = 1_000
/** The part of one thread that each stream gets back. */
const ownShare = 0.05
/** The part of one thread that all those together get who use more than their own. */
const commonShare = 0.25

/**
 * How much of the event loop the requests of one stream may use. Who has used up its own has to wait until the requests
 * of all such streams together are within a quarter of one thread: they wait for each other, and nobody else for them.
 */
export class Pace {
  readonly #clock: Pick<Clock, 'monotonic'>
  readonly #figures: PaceFigures
  /** Until then the common share is used up. */
  #freeAt = 0

  constructor(options: { clock: Pick<Clock, 'monotonic'>; figures: PaceFigures }) {
    this.#clock = options.clock
    this.#figures = options.figures
  }

  open(): PaceAccount {
    return { left: burstMs, at: this.#clock.monotonic() }
  }

  /** A request took `spentMs`. Returns after how many milliseconds the stream's next one may be read; 0: now. */
  charge(account: PaceAccount, spentMs: number): number {
    const now = this.#clock.monotonic()
    const left = Math.min(burstMs, account.left + (now - account.at) * ownShare) - spentMs
    account.left = Math.max(0, left)
    account.at = now
    if (left >= 0) return 0
    this.#figures.paced += 1
    this.#freeAt = Math.max(now, this.#freeAt) - left / commonShare
    return this.#freeAt - now
  }
}
