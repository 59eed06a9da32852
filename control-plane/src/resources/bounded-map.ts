/** A map by name that forgets its oldest entry when it has too many. */
export class BoundedMap<Value> {
  readonly #entries = new Map<string, Value>()
  readonly #limit: number

  constructor(limit: number) {
    this.#limit = limit
  }

  get(name: string): Value | undefined {
    return this.#entries.get(name)
  }

  /** Returns the value. */
  set(name: string, value: Value): Value {
    if (this.#entries.size >= this.#limit && !this.#entries.has(name)) {
      const [oldest] = this.#entries.keys()
      if (oldest !== undefined) this.#entries.delete(oldest)
    }
    this.#entries.set(name, value)
    return value
  }
}
