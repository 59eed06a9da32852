/**
 * Names that a client asked for and that resolved to a resource of another name (X7). Everything that was sent
 * is known by the resource's own name; this says which of those names somebody still asks for.
 */
export class Aliases {
  readonly #names = new Map<string, string>()
  /** The resource's own name to the names that it was asked for by. */
  readonly #asked = new Map<string, Set<string>>()

  /** `asked` now resolves to `name`; returns the name that it resolved to before, if nobody else asks for that. */
  bind(asked: string, name: string): string | undefined {
    if (this.#names.get(asked) === name) return undefined
    const orphan = this.unbind(asked)
    this.#names.set(asked, name)
    const others = this.#asked.get(name)
    if (others === undefined) this.#asked.set(name, new Set([asked]))
    else others.add(asked)
    return orphan
  }

  /** `asked` is no longer asked for; returns the name that it resolved to, if nobody else asks for that. */
  unbind(asked: string): string | undefined {
    const name = this.#names.get(asked)
    if (name === undefined) return undefined
    this.#names.delete(asked)
    const others = this.#asked.get(name)
    others?.delete(asked)
    if (others !== undefined && others.size > 0) return undefined
    this.#asked.delete(name)
    return name
  }

  /** What `asked` last resolved to. */
  nameOf(asked: string): string {
    return this.#names.get(asked) ?? asked
  }

  /** Whether somebody asks for the resource of this name by another one. */
  has(name: string): boolean {
    return this.#asked.has(name)
  }
}
