/** First in, first out, never longer than `capacity`. */
export class BoundedQueue<T> {
  readonly capacity: number
  #items: T[] = []

  constructor(capacity: number) {
    this.capacity = capacity
  }

  get size(): number {
    return this.#items.length
  }

  /** False, and nothing is kept, when the queue is full. */
  push(item: T): boolean {
    if (this.#items.length >= this.capacity) return false
    this.#items.push(item)
    return true
  }

  /** Removes and returns up to `limit` items, oldest first. */
  take(limit: number): T[] {
    if (limit >= this.#items.length) {
      const all = this.#items
      this.#items = []
      return all
    }
    return this.#items.splice(0, limit)
  }
}
