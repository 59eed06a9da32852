import type { Clock, Timer } from './clock.ts'

/** Where a time was read that all replicas share. */
export interface SharedTime {
  /** Milliseconds since the epoch, by the shared clock. */
  readonly now: number
  /** When it was asked for and when the answer came (monotonic ms). */
  readonly askedAt: number
  readonly answeredAt: number
}

/** Differences up to this are left: a time that is asked for over a network is no better. */
const toleratedMs = 500

/**
 * A clock whose time of day is the one that all replicas share (Postgres's), however wrong that of the machine is. What
 * replicas tell each other and their clients (signatures, ages, ends) then means the same everywhere. Until it has
 * been aligned it goes by the machine.
 */
export class AlignedClock implements Clock {
  readonly #machine: Clock
  readonly #onStep: (byMs: number) => void
  /** Shared time of day less monotonic time; null: not aligned. */
  #epoch: number | null = null

  /** `onStep` hears by how much the shared time is ahead of the one that was used so far. */
  constructor(options: { readonly machine: Clock; readonly onStep: (byMs: number) => void }) {
    this.#machine = options.machine
    this.#onStep = options.onStep
  }

  now(): number {
    return this.#epoch === null ? this.#machine.now() : Math.round(this.#machine.monotonic() + this.#epoch)
  }

  /** Follows the shared time where the difference is more than the way there explains. */
  align({ now, askedAt, answeredAt }: SharedTime): void {
    const earliest = now - answeredAt
    const latest = now - askedAt
    const ours = this.now() - this.#machine.monotonic()
    if (ours >= earliest - toleratedMs && ours <= latest + toleratedMs) {
      // The machine's clock may yet be set; what was agreed on stays.
      this.#epoch ??= ours
      return
    }
    this.#epoch = (earliest + latest) / 2
    this.#onStep(Math.round(this.#epoch - ours))
  }

  monotonic(): number {
    return this.#machine.monotonic()
  }

  timer(ms: number, run: () => void): Timer {
    return this.#machine.timer(ms, run)
  }

  soon(run: () => void): void {
    this.#machine.soon(run)
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return this.#machine.sleep(ms, signal)
  }
}
