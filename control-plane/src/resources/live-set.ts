import type { ResourceSet, ResourceSetChange, XdsResource } from '../xds/port.ts'

/** The watching half of a ResourceSet. */
export abstract class LiveSet implements ResourceSet {
  readonly #listeners = new Set<(change: ResourceSetChange) => void>()

  abstract get(name: string): XdsResource | undefined
  abstract names(): Iterable<string>
  abstract covers(name: string): boolean

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
