import { SmallSet } from '../runtime/small-set.ts'
import type { ResourceSet, ResourceSetChange, XdsResource } from '../xds/port.ts'

/** Where a set's resources come from, read each time somebody asks. */
interface SetReader {
  get(name: string): XdsResource | undefined
  /** What a wildcard covers; absent: nothing, resources are asked for by name only. */
  readonly wildcard?: { names(): Iterable<string>; covers(name: string): boolean }
  readonly asked?: (names: readonly string[]) => void
}

/** A ResourceSet that reads from elsewhere and tells its watchers when it is told. */
export class LiveSet implements ResourceSet {
  readonly #reader: SetReader
  readonly #listeners = new SmallSet<(change: ResourceSetChange) => void>()

  constructor(reader: SetReader) {
    this.#reader = reader
  }

  get(name: string): XdsResource | undefined {
    return this.#reader.get(name)
  }

  names(): Iterable<string> {
    return this.#reader.wildcard?.names() ?? []
  }

  covers(name: string): boolean {
    return this.#reader.wildcard?.covers(name) ?? false
  }

  asked(names: readonly string[]): void {
    this.#reader.asked?.(names)
  }

  watch(listener: (change: ResourceSetChange) => void): () => void {
    this.#listeners.add(listener)
    return () => {
      this.#listeners.delete(listener)
    }
  }

  notify(change: ResourceSetChange): void {
    for (const listener of this.#listeners) listener(change)
  }
}
