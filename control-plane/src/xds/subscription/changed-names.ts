import type { Revision } from '../../domain/revision.ts'

export interface ChangeCounters {
  /** Changed names of which nothing had to be sent. */
  dropped: number
}

/** Names of one type that have to be looked at, and the oldest revision among them. */
export class ChangedNames {
  /** True: to be sent even if the client has it. */
  readonly #names = new Map<string, boolean>()
  readonly #counters: ChangeCounters
  #since: Revision = 0

  constructor(counters: ChangeCounters) {
    this.#counters = counters
  }

  get size(): number {
    return this.#names.size
  }

  /** Never younger than any of the names; it only moves on when all of them are done. */
  get since(): Revision {
    return this.#since
  }

  add(name: string, revision: Revision, force: boolean): void {
    if (this.#names.size === 0 || revision < this.#since) this.#since = revision
    if (force || !this.#names.has(name)) this.#names.set(name, force)
  }

  /** Nothing of it has to be sent. */
  drop(name: string): void {
    if (this.#names.delete(name)) this.#counters.dropped += 1
  }

  delete(name: string): void {
    this.#names.delete(name)
  }

  keys(): Iterable<string> {
    return this.#names.keys()
  }

  [Symbol.iterator](): Iterator<[string, boolean]> {
    return this.#names[Symbol.iterator]()
  }
}
