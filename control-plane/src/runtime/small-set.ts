/**
 * A set that nearly always has one member or none, of which there are thousands: a `Set` would take two hundred bytes
 * for each.
 */
export class SmallSet<T extends object> implements Iterable<T> {
  #only: T | undefined
  /** All of them, while they are more than one. */
  #more: Set<T> | undefined

  get size(): number {
    return this.#only === undefined ? (this.#more?.size ?? 0) : 1
  }

  add(member: T): void {
    const only = this.#only
    if (this.#more !== undefined) this.#more.add(member)
    else if (only === undefined) this.#only = member
    else if (only !== member) {
      this.#more = new Set([only, member])
      this.#only = undefined
    }
  }

  /** False when it was not there. */
  delete(member: T): boolean {
    if (this.#only === member) {
      this.#only = undefined
      return true
    }
    if (this.#more?.delete(member) !== true) return false
    if (this.#more.size === 0) this.#more = undefined
    return true
  }

  /** In the order of adding. Members may leave meanwhile; one that joins meanwhile may be left out. */
  [Symbol.iterator](): Iterator<T> {
    if (this.#more !== undefined) return this.#more[Symbol.iterator]()
    const members = this.#only === undefined ? [] : [this.#only]
    return members[Symbol.iterator]()
  }
}
