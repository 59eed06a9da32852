import type { Clock, Timer } from '../../src/runtime/clock.ts'

interface Pending {
  readonly at: number
  readonly order: number
  readonly run: () => void
}

/** A clock that stands still until a test moves it. Wall clock and monotonic clock advance together. */
export class ManualClock implements Clock {
  readonly #epoch: number
  #elapsed = 0
  #order = 0
  readonly #pending = new Set<Pending>()

  constructor(epoch = Date.parse('2026-01-01T00:00:00Z')) {
    this.#epoch = epoch
  }

  /** Timers that have not run yet; `soon` counts as one. */
  get pending(): number {
    return this.#pending.size
  }

  now(): number {
    return this.#epoch + this.#elapsed
  }

  monotonic(): number {
    return this.#elapsed
  }

  timer(ms: number, run: () => void): Timer {
    const entry = { at: this.#elapsed + Math.max(0, ms), order: this.#order++, run }
    this.#pending.add(entry)
    return {
      cancel: () => {
        this.#pending.delete(entry)
      },
    }
  }

  soon(run: () => void): void {
    this.timer(0, run)
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted === true) return Promise.resolve()
    return new Promise(resolve => {
      const finish = (): void => {
        timer.cancel()
        signal?.removeEventListener('abort', finish)
        resolve()
      }
      const timer = this.timer(ms, finish)
      signal?.addEventListener('abort', finish)
    })
  }

  /**
   * Moves time by `ms`, running what becomes due in order, each at its own moment. Between two of them every
   * promise that needs no real input or output has settled.
   */
  async advance(ms: number): Promise<void> {
    const end = this.#elapsed + ms
    await settled()
    for (let next = this.#next(end); next !== undefined; next = this.#next(end)) {
      this.#pending.delete(next)
      this.#elapsed = Math.max(this.#elapsed, next.at)
      next.run()
      await settled()
    }
    this.#elapsed = end
  }

  #next(end: number): Pending | undefined {
    let first: Pending | undefined
    for (const entry of this.#pending) {
      if (entry.at > end) continue
      if (
        first === undefined ||
        entry.at < first.at ||
        (entry.at === first.at && entry.order < first.order)
      ) {
        first = entry
      }
    }
    return first
  }
}

/** Resolves in a later turn of the event loop, after the microtasks that are queued now. */
const settled = (): Promise<void> =>
  new Promise(resolve => {
    setImmediate(resolve)
  })
