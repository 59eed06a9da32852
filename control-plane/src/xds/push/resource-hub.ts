import type { Revision } from '../../domain/revision.ts'
import type { ResourceSet, ResourceSetChange } from '../port.ts'

/** Somebody who wants to know of changed names of one resource set: one type of one stream. */
export interface Subscriber {
  touch(name: string, revision: Revision): void
}

/** Who subscribed to what in one resource set. Made by the hub; ends when the last subscriber has left. */
export class SetIndex {
  readonly #byName = new Map<string, Set<Subscriber>>()
  readonly #wildcards = new Set<Subscriber>()
  readonly #onEmpty: () => void

  constructor(onEmpty: () => void) {
    this.#onEmpty = onEmpty
  }

  add(name: string, subscriber: Subscriber): void {
    const subscribers = this.#byName.get(name)
    if (subscribers === undefined) this.#byName.set(name, new Set([subscriber]))
    else subscribers.add(subscriber)
  }

  remove(name: string, subscriber: Subscriber): void {
    const subscribers = this.#byName.get(name)
    if (subscribers?.delete(subscriber) !== true) return
    if (subscribers.size === 0) this.#byName.delete(name)
    this.#endIfEmpty()
  }

  addWildcard(subscriber: Subscriber): void {
    this.#wildcards.add(subscriber)
  }

  removeWildcard(subscriber: Subscriber): void {
    if (this.#wildcards.delete(subscriber)) this.#endIfEmpty()
  }

  /** Costs the subscribers of the changed names only. */
  announce({ names, revision }: ResourceSetChange): void {
    for (const name of names) {
      const subscribers = this.#byName.get(name)
      if (subscribers !== undefined) for (const subscriber of subscribers) subscriber.touch(name, revision)
      for (const subscriber of this.#wildcards) subscriber.touch(name, revision)
    }
  }

  #endIfEmpty(): void {
    if (this.#byName.size === 0 && this.#wildcards.size === 0) this.#onEmpty()
  }
}

/** Watches each resource set once, however many streams share it. */
export class ResourceHub {
  readonly #indexes = new Map<ResourceSet, SetIndex>()

  /** The index of a set; watched from now on. Ask again each time: an index ends when it becomes empty. */
  index(set: ResourceSet): SetIndex {
    const known = this.#indexes.get(set)
    if (known !== undefined) return known
    const index: SetIndex = new SetIndex(() => {
      this.#indexes.delete(set)
      unwatch()
    })
    const unwatch = set.watch(change => {
      index.announce(change)
    })
    this.#indexes.set(set, index)
    return index
  }

  /** The index of a set if it is watched. */
  find(set: ResourceSet): SetIndex | undefined {
    return this.#indexes.get(set)
  }

  get size(): number {
    return this.#indexes.size
  }
}
