import { BoundedQueue } from '../runtime/bounded-queue.ts'
import { WaymarkError } from '../domain/errors.ts'
import type { Committed, Settled, Write } from './write.ts'

/** A write that waits for its transaction. */
export interface Waiting {
  readonly write: Write<unknown>
  /** Called once. */
  settle(outcome: Settled<unknown>): void
}

/** Writes of one caller: one promise for all of them, where many would each go through several. */
class Group {
  readonly outcomes: Settled<unknown>[]
  readonly #resolve: (outcomes: readonly Settled<unknown>[]) => void
  #left: number

  constructor(size: number, resolve: (outcomes: readonly Settled<unknown>[]) => void) {
    this.outcomes = new Array<Settled<unknown>>(size)
    this.#left = size
    this.#resolve = resolve
  }

  settle(index: number, outcome: Settled<unknown>): void {
    this.outcomes[index] = outcome
    this.#left -= 1
    if (this.#left === 0) this.#resolve(this.outcomes)
  }
}

class GroupWaiting implements Waiting {
  readonly write: Write<unknown>
  readonly #group: Group
  readonly #index: number

  constructor(write: Write<unknown>, group: Group, index: number) {
    this.write = write
    this.#group = group
    this.#index = index
  }

  settle(outcome: Settled<unknown>): void {
    this.#group.settle(this.#index, outcome)
  }
}

/** The writes that wait, oldest first; never more than `capacity`. */
export class WaitingWrites {
  readonly #queue: BoundedQueue<Waiting>

  constructor(capacity: number) {
    this.#queue = new BoundedQueue(capacity)
  }

  get size(): number {
    return this.#queue.size
  }

  take(limit = this.#queue.capacity): Waiting[] {
    return this.#queue.take(limit)
  }

  /** Rejects with what the write is refused with, `overloaded` where there is no room. */
  add<R>(write: Write<R>): Promise<Committed<R>> {
    return new Promise((resolve, reject) => {
      this.#push({
        write,
        settle: outcome => {
          // The result is what this very write's decide returned.
          if ('committed' in outcome) resolve(outcome.committed as Committed<R>)
          else reject(outcome.error)
        },
      })
    })
  }

  /** Never rejects: each write has an outcome of its own. */
  addAll<R>(writes: readonly Write<R>[]): Promise<readonly Settled<R>[]> {
    if (writes.length === 0) return Promise.resolve([])
    return new Promise(resolve => {
      const group = new Group(writes.length, outcomes => {
        // As above.
        resolve(outcomes as readonly Settled<R>[])
      })
      for (const [index, write] of writes.entries()) this.#push(new GroupWaiting(write, group, index))
    })
  }

  #push(waiting: Waiting): void {
    if (this.#queue.push(waiting)) return
    const detail = `${this.#queue.capacity} writes are waiting`
    waiting.settle({ error: new WaymarkError('overloaded', detail, { retryAfterMs: 1_000 }) })
  }
}
