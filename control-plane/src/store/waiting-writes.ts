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

/**
 * The writes that wait, never more than `capacity`. Those that came alone go before those of groups, so that an import
 * does not make everybody wait, but leave these a quarter of what is taken. Otherwise oldest first.
 */
export class WaitingWrites {
  readonly #capacity: number
  readonly #alone: BoundedQueue<Waiting>
  readonly #grouped: BoundedQueue<Waiting>

  constructor(capacity: number) {
    this.#capacity = capacity
    this.#alone = new BoundedQueue(capacity)
    this.#grouped = new BoundedQueue(capacity)
  }

  get size(): number {
    return this.#alone.size + this.#grouped.size
  }

  take(limit = this.#capacity): Waiting[] {
    const alone = this.#alone.take(limit - Math.min(this.#grouped.size, Math.ceil(limit / 4)))
    return [...alone, ...this.#grouped.take(limit - alone.length)]
  }

  /** Rejects with what the write is refused with, `overloaded` where there is no room. */
  add<R>(write: Write<R>): Promise<Committed<R>> {
    return new Promise((resolve, reject) => {
      this.#push(this.#alone, {
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
      for (const [index, write] of writes.entries())
        this.#push(this.#grouped, new GroupWaiting(write, group, index))
    })
  }

  #push(queue: BoundedQueue<Waiting>, waiting: Waiting): void {
    if (this.size < this.#capacity && queue.push(waiting)) return
    const detail = `${this.#capacity} writes are waiting`
    waiting.settle({ error: new WaymarkError('overloaded', detail, { retryAfterMs: 1_000 }) })
  }
}
