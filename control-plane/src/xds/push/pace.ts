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

/** Milliseconds of one turn of the event loop that requests may use; changes, writes and timers come in between. */
const turnMs = 10
/** What a stream may use at once: more than a sidecar needs to begin in a large mesh. */
const burstMs = 1_000
/** The part of one thread that each stream gets back. */
const ownShare = 0.05
/** The part of one thread that all those together get who use more than their own. */
const commonShare = 0.25

/**
 * How much of the event loop requests may use: a little of each turn, so that changes for everybody do not wait behind
 * them, and of all turns each stream a part of its own. Who has used that up has to wait until the requests of all such
 * streams together are within a quarter of one thread: they wait for each other, and nobody else for them.
 */
export class Pace {
  readonly #clock: Pick<Clock, 'monotonic' | 'soon'>
  readonly #figures: PaceFigures
  /** Requests for a later turn, first in, first out; at most one of each stream. */
  readonly #later = new Set<() => void>()
  #spentInTurn = 0
  #scheduled = false
  /** Until then the common share is used up. */
  #freeAt = 0

  constructor(options: { clock: Pick<Clock, 'monotonic' | 'soon'>; figures: PaceFigures }) {
    this.#clock = options.clock
    this.#figures = options.figures
  }

  open(): PaceAccount {
    return { left: burstMs, at: this.#clock.monotonic() }
  }

  /** A request may be run now, between `enter` and `leave`; else by `run`. */
  get free(): boolean {
    return this.#later.size === 0 && this.#spentInTurn < turnMs
  }

  /** A request begins. Returns when, for `leave`. */
  enter(): number {
    return this.#clock.monotonic()
  }

  /** It has run. Returns the milliseconds after which the stream's next one may be read; 0: now. */
  leave(account: PaceAccount, since: number): number {
    const now = this.#clock.monotonic()
    this.#spentInTurn += now - since
    if (!this.#scheduled && this.#spentInTurn > 0) this.#schedule()
    return this.#charge(account, now - since, now)
  }

  /** Runs a request, now or in a later turn, and then `done` with what `leave` returns. */
  run(account: PaceAccount, request: () => void, done: (waitMs: number) => void): void {
    const job = (): void => {
      const since = this.enter()
      request()
      done(this.leave(account, since))
    }
    if (this.free) {
      job()
      return
    }
    this.#later.add(job)
    if (!this.#scheduled) this.#schedule()
  }

  #schedule(): void {
    this.#scheduled = true
    this.#clock.soon(() => {
      this.#scheduled = false
      this.#spentInTurn = 0
      this.#runLater()
    })
  }

  #runLater(): void {
    for (const job of this.#later) {
      if (this.#spentInTurn >= turnMs) break
      this.#later.delete(job)
      job()
    }
    if (this.#later.size > 0 && !this.#scheduled) this.#schedule()
  }

  #charge(account: PaceAccount, spentMs: number, now: number): number {
    const left = Math.min(burstMs, account.left + (now - account.at) * ownShare) - spentMs
    account.left = Math.max(0, left)
    account.at = now
    if (left >= 0) return 0
    this.#figures.paced += 1
    this.#freeAt = Math.max(now, this.#freeAt) - left / commonShare
    return this.#freeAt - now
  }
}
