import type { Revision } from '../../domain/revision.ts'
import type { BitSet } from './bit-set.ts'
import type { HeldStep } from './held-step.ts'
import type { Subscriber } from './subscriber.ts'

export interface AnnouncementOptions {
  readonly name: string
  readonly revision: Revision
  readonly held: HeldStep
  /** The numbers of those who subscribe to the name, as they come and go. */
  readonly live: BitSet
  /** Who is told first has this number, or the next one. */
  readonly from: number
  readonly subscriber: (number: number) => Subscriber | undefined
  readonly number: (subscriber: Subscriber) => number | undefined
}

/**
 * A changed name with many subscribers, who are told little by little. Who subscribes later sees the change anyway, and who
 * has unsubscribed is left out. It must not be noticed from outside: whoever looks at a subscriber tells it first.
 */
export class Announcement {
  readonly #options: AnnouncementOptions
  /** Those who are still to be told. */
  readonly #left: BitSet
  #at: number

  constructor(options: AnnouncementOptions) {
    this.#options = options
    this.#left = options.live.copy()
    this.#at = options.from
  }

  /** How many are still to be told, at most. */
  get size(): number {
    return this.#left.size
  }

  /** Tells at most so many of them; ends the step with the last. */
  next(count: number): void {
    for (let told = 0; told < count && this.#left.size > 0; told += 1) {
      const number = this.#left.from(this.#at) ?? this.#left.from(0) ?? 0
      this.#at = number + 1
      this.#tell(number)
    }
  }

  /** Tells this one now, if it is among them. */
  catchUp(subscriber: Subscriber): void {
    const number = this.#options.number(subscriber)
    if (number !== undefined && this.#left.has(number)) this.#tell(number)
  }

  #tell(number: number): void {
    const { live, name, revision, held } = this.#options
    this.#left.delete(number)
    if (live.has(number)) this.#options.subscriber(number)?.touch(name, revision, held)
    if (this.#left.size === 0) held.end()
  }
}
