/**
 * A statement made of the parts that are needed, each with parameters of its own: what is not needed is not planned,
 * started or ended by the server. Its name says which parts it has, so that every mix is prepared once. Parts are
 * constant texts; data goes into `values` only.
 */
export class PartedStatement {
  readonly #values: unknown[] = []
  readonly #parts: string[] = []
  #name: string

  constructor(name: string) {
    this.#name = name
  }

  get parts(): readonly string[] {
    return this.#parts
  }

  /** `label`: a letter or two, Postgres keeps 63 of a name. `text` gets the placeholders of `values`, in their order. */
  add(label: string, values: readonly unknown[], text: (...placeholders: string[]) => string): void {
    const first = this.#values.length + 1
    this.#values.push(...values)
    this.#parts.push(text(...values.map((_, index) => `$${first + index}`)))
    this.#name += `-${label}`
  }

  /** For pg: a prepared statement of this text, which must be made of `parts` alone. */
  query(text: string): { readonly name: string; readonly text: string; readonly values: unknown[] } {
    return { name: this.#name, text, values: this.#values }
  }
}
