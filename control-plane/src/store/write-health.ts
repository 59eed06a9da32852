import type { Clock } from '../runtime/clock.ts'
import { RecentMax } from '../runtime/recent-max.ts'

/** Whether the database takes this replica's writes, as its sequencer has seen. */
export interface WriteState {
  /** Why the last transaction was not committed; null: it was, or there was none. */
  readonly refusal: string | null
  /** How long ago writes were taken again after a refusal (ms); null: never refused, or refused now. */
  readonly restoredMs: number | null
  /** The slowest transaction of the last 10 s, also one that has no end yet (ms). */
  readonly slowestMs: number
  /** Writes that wait for a transaction. */
  readonly waiting: number
}

/** Notes how the sequencer's transactions end. */
export class WriteHealth {
  readonly #clock: Pick<Clock, 'monotonic'>
  readonly #slowest = new RecentMax({ windowMs: 10_000 })
  /** When the transaction began that is in flight. */
  #began: number | null = null
  #refusal: string | null = null
  #restoredAt: number | null = null

  constructor(clock: Pick<Clock, 'monotonic'>) {
    this.#clock = clock
  }

  get refusing(): boolean {
    return this.#refusal !== null
  }

  began(): void {
    this.#began = this.#clock.monotonic()
  }

  /** Whatever came of the transaction: it is not in flight any more. */
  ended(): void {
    if (this.#began === null) return
    const now = this.#clock.monotonic()
    this.#slowest.record(now - this.#began, now)
    this.#began = null
  }

  committed(): void {
    this.ended()
    if (this.#refusal === null) return
    this.#refusal = null
    this.#restoredAt = this.#clock.monotonic()
  }

  /** The database did not take a transaction, or does not answer. */
  refused(reason: string): void {
    this.ended()
    this.#refusal = reason
    this.#restoredAt = null
  }

  state(waiting: number): WriteState {
    const now = this.#clock.monotonic()
    return {
      refusal: this.#refusal,
      restoredMs: this.#restoredAt === null ? null : now - this.#restoredAt,
      slowestMs: Math.max(this.#slowest.at(now), this.#began === null ? 0 : now - this.#began),
      waiting,
    }
  }
}
