import type { Revision } from '../../domain/revision.ts'
import { BitSet } from './bit-set.ts'

/** Somebody who wants to know of changed names of one resource set: one type of one stream. */
export interface Subscriber {
  touch(name: string, revision: Revision): void
}

/** From here on names have one bit for each subscriber there is; a set of objects takes about 300 for each member. */
const manyFrom = 33

/**
 * Who subscribed to which names. With thousands of streams that have the same thousand names this would be
 * millions of entries: names with many subscribers have bits instead.
 */
export class SubscribersByName {
  readonly #few = new Map<string, Set<Subscriber>>()
  readonly #many = new Map<string, BitSet>()
  /** The number of a subscriber, while one of its names has many. */
  readonly #numbers = new Map<Subscriber, { readonly number: number; names: number }>()
  readonly #subscribers: (Subscriber | undefined)[] = []
  readonly #free: number[] = []

  /** Names with a subscriber. */
  get size(): number {
    return this.#few.size + this.#many.size
  }

  add(name: string, subscriber: Subscriber): void {
    const many = this.#many.get(name)
    if (many !== undefined) {
      this.#addTo(many, subscriber)
      return
    }
    const few = this.#few.get(name)
    if (few === undefined) this.#few.set(name, new Set([subscriber]))
    else if (few.add(subscriber).size >= manyFrom) this.#widen(name, few)
  }

  remove(name: string, subscriber: Subscriber): void {
    const many = this.#many.get(name)
    if (many !== undefined) {
      this.#removeFrom(many, subscriber)
      if (many.size === 0) this.#many.delete(name)
      return
    }
    const few = this.#few.get(name)
    if (few?.delete(subscriber) === true && few.size === 0) this.#few.delete(name)
  }

  /** Costs the subscribers of the name only. */
  touch(name: string, revision: Revision): void {
    const few = this.#few.get(name)
    if (few !== undefined) for (const subscriber of few) subscriber.touch(name, revision)
    this.#many.get(name)?.each(number => {
      this.#subscribers[number]?.touch(name, revision)
    })
  }

  #widen(name: string, few: ReadonlySet<Subscriber>): void {
    const many = new BitSet()
    for (const subscriber of few) this.#addTo(many, subscriber)
    this.#many.set(name, many)
    this.#few.delete(name)
  }

  #addTo(many: BitSet, subscriber: Subscriber): void {
    const known = this.#numbers.get(subscriber)
    if (known !== undefined) {
      if (many.add(known.number)) known.names += 1
      return
    }
    const number = this.#free.pop() ?? this.#subscribers.length
    this.#subscribers[number] = subscriber
    this.#numbers.set(subscriber, { number, names: 1 })
    many.add(number)
  }

  #removeFrom(many: BitSet, subscriber: Subscriber): void {
    const known = this.#numbers.get(subscriber)
    if (known === undefined || !many.delete(known.number)) return
    known.names -= 1
    if (known.names > 0) return
    this.#numbers.delete(subscriber)
    this.#subscribers[known.number] = undefined
    this.#free.push(known.number)
  }
}
