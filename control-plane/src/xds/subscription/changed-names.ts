import type { Revision } from '../../domain/revision.ts'

export interface ChangeCounters {
  /** Changed names of which nothing had to be sent. */
  dropped: number
}

const none: readonly [string, boolean][] = []

/**
 * Names of one type that have to be looked at, and the oldest revision among them. Nearly always there is none or one:
 * a map for each type of each stream would be rebuilt again and again as names come and go.
 */
export class ChangedNames {
  /** The only name; undefined: there is none, or there are more. */
  #name: string | undefined
  /** True: to be sent even if the client has it. */
  #force = false
  /** All of them with what `#force` says, while they are more than one. */
  #more: Map<string, boolean> | undefined
  readonly #counters: ChangeCounters
  #since: Revision = 0

  constructor(counters: ChangeCounters) {
    this.#counters = counters
  }

  get size(): number {
    return this.#name === undefined ? (this.#more?.size ?? 0) : 1
  }

  /** Never younger than any of the names; it only moves on when all of them are done. */
  get since(): Revision {
    return this.#since
  }

  add(name: string, revision: Revision, force: boolean): void {
    const only = this.#name
    const first = only === undefined && this.#more === undefined
    if (first || revision < this.#since) this.#since = revision
    if (first) {
      this.#name = name
      this.#force = force
    } else if (only === name) this.#force ||= force
    else {
      const more = (this.#more ??= new Map<string, boolean>())
      if (only !== undefined) more.set(only, this.#force)
      this.#name = undefined
      if (force || !more.has(name)) more.set(name, force)
    }
  }

  /** Nothing of it has to be sent. */
  drop(name: string): void {
    if (this.#remove(name)) this.#counters.dropped += 1
  }

  delete(name: string): void {
    this.#remove(name)
  }

  *keys(): Generator<string> {
    for (const [name] of this) yield name
  }

  /** Names may be deleted meanwhile. */
  [Symbol.iterator](): Iterator<[string, boolean]> {
    if (this.#more !== undefined) return this.#more[Symbol.iterator]()
    const only: readonly [string, boolean][] = this.#name === undefined ? none : [[this.#name, this.#force]]
    return only[Symbol.iterator]()
  }

  #remove(name: string): boolean {
    if (this.#name !== undefined && this.#name === name) {
      this.#name = undefined
      return true
    }
    if (this.#more?.delete(name) !== true) return false
    if (this.#more.size === 0) this.#more = undefined
    return true
  }
}
