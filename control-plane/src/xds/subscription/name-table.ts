/**
 * Numbers for names, small and dense: a number is given with the first use of a name and free again after the last,
 * so the table never holds more than the names in use.
 */
export class NameTable {
  readonly #ids = new Map<string, number>()
  readonly #names: (string | undefined)[] = []
  readonly #uses: number[] = []
  readonly #free: number[] = []

  get size(): number {
    return this.#ids.size
  }

  /** The number of a name that is in use. */
  find(name: string): number | undefined {
    return this.#ids.get(name)
  }

  /** The name of a number that is in use. */
  name(id: number): string {
    const name = this.#names[id]
    if (name === undefined) throw new RangeError(`no name has the number ${id}`)
    return name
  }

  /** One more use of the name; returns its number. */
  use(name: string): number {
    const known = this.#ids.get(name)
    if (known !== undefined) {
      this.#uses[known] = (this.#uses[known] ?? 0) + 1
      return known
    }
    const id = this.#free.pop() ?? this.#names.length
    this.#ids.set(name, id)
    this.#names[id] = name
    this.#uses[id] = 1
    return id
  }

  /** One use less. */
  release(id: number): void {
    const uses = (this.#uses[id] ?? 0) - 1
    this.#uses[id] = uses
    if (uses > 0) return
    this.#ids.delete(this.name(id))
    this.#names[id] = undefined
    this.#free.push(id)
  }
}
