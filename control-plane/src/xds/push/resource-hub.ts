import { SmallSet } from '../../runtime/small-set.ts'
import type { ResourceSet, ResourceSetChange } from '../port.ts'
import type { Subscriber } from './subscriber.ts'
import { SubscribersByName, type Announcer } from './subscribers.ts'

export type { Subscriber } from './subscriber.ts'

/** Who subscribed to what in one resource set. Made by the hub; ends when the last subscriber has left. */
export class SetIndex {
  /** Absent until somebody subscribes by name: each sidecar has sets of its own, and takes those by wildcard. */
  #byName: SubscribersByName | undefined
  readonly #wildcards = new SmallSet<Subscriber>()
  readonly #onEmpty: () => void
  readonly #announcer: Announcer | undefined

  constructor(onEmpty: () => void, announcer: Announcer | undefined) {
    this.#onEmpty = onEmpty
    this.#announcer = announcer
  }

  add(name: string, subscriber: Subscriber): void {
    this.#byName ??= new SubscribersByName({ announcer: this.#announcer })
    this.#byName.add(name, subscriber)
  }

  remove(name: string, subscriber: Subscriber): void {
    this.#byName?.remove(name, subscriber)
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
      this.#byName?.touch(name, revision)
      for (const subscriber of this.#wildcards) subscriber.touch(name, revision)
    }
  }

  #endIfEmpty(): void {
    if ((this.#byName?.size ?? 0) === 0 && this.#wildcards.size === 0) this.#onEmpty()
  }
}

/** Watches each resource set once, however many streams share it. */
export class ResourceHub {
  readonly #indexes = new Map<ResourceSet, SetIndex>()
  readonly #announcer: Announcer | undefined

  /** `announcer`: tells many subscribers of a change; absent: all are told at once. */
  constructor(announcer?: Announcer) {
    this.#announcer = announcer
  }

  /** The index of a set; watched from now on. Ask again each time: an index ends when it becomes empty. */
  index(set: ResourceSet): SetIndex {
    const known = this.#indexes.get(set)
    if (known !== undefined) return known
    const index: SetIndex = new SetIndex(() => {
      this.#indexes.delete(set)
      unwatch()
    }, this.#announcer)
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
