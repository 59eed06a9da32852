/**
 * The newest incarnation of instances whose value in the mesh state is behind the database (an equal registration
 * raises it without a change in the log). Incarnations of one database only grow, so an old entry is at worst of no
 * use; beyond `capacity` the oldest entries go.
 */
export class KnownIncarnations {
  readonly #capacity: number
  readonly #newest = new Map<string, number>()

  constructor(capacity: number) {
    this.#capacity = capacity
  }

  get size(): number {
    return this.#newest.size
  }

  /** 0: not known here. */
  get(key: string): number {
    return this.#newest.get(key) ?? 0
  }

  add(key: string, incarnation: number): void {
    if (incarnation <= this.get(key)) return
    this.#newest.delete(key)
    this.#newest.set(key, incarnation)
    if (this.#newest.size <= this.#capacity) return
    const oldest = this.#newest.keys().next()
    if (oldest.done !== true) this.#newest.delete(oldest.value)
  }

  clear(): void {
    this.#newest.clear()
  }
}
