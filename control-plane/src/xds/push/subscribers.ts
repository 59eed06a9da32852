import type { Revision } from '../../domain/revision.ts'
import { Announcement } from './announcement.ts'
import { BitSet } from './bit-set.ts'
import type { Subscriber } from './subscriber.ts'

/** Who tells many subscribers little by little. */
export interface Announcer {
  /** False: it has enough to do, and they are to be told at once. */
  readonly takesMore: boolean
  announce(announcement: Announcement): void
}

/** From here on names have one bit for each subscriber there is; a set of objects takes about 300 for each member. */
const manyFrom = 33
/** More than these are told little by little. */
const toldAtOnce = 256
/** The next change begins with others: so many are told before anybody else is. */
const headStart = 64

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
  readonly #announcer: Announcer | undefined
  #first = 0

  constructor(options: { readonly announcer?: Announcer | undefined } = {}) {
    this.#announcer = options.announcer
  }

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
    const many = this.#many.get(name)
    if (many === undefined || this.#announce(many, name, revision)) return
    many.each(number => {
      this.#subscribers[number]?.touch(name, revision)
    })
  }

  #announce(live: BitSet, name: string, revision: Revision): boolean {
    if (this.#announcer?.takesMore !== true || live.size <= toldAtOnce) return false
    const held = this.#subscribers[live.from(0) ?? 0]?.hold?.(name, live.size)
    if (held === undefined) return false
    const announcement = new Announcement({
      name,
      revision,
      held,
      live,
      from: this.#first,
      subscriber: number => this.#subscribers[number],
      number: subscriber => this.#numbers.get(subscriber)?.number,
    })
    this.#announcer.announce(announcement)
    this.#first = (this.#first + headStart) % this.#subscribers.length
    return true
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
