import { SharedMap, type SharedChunks } from './shared-map.ts'

/** What a subscription needs of a set of names; a `Set` will do. */
export interface Names extends Iterable<string> {
  readonly size: number
  has(name: string): boolean
  add(name: string): unknown
  /** False when it was not there. */
  delete(name: string): boolean
}

/** A set of names that costs little where thousands of streams have the same: see `SharedMap`. */
export class SharedNames implements Names {
  readonly #map: SharedMap<true>

  constructor(shared: SharedChunks<true>) {
    this.#map = new SharedMap(shared)
  }

  get size(): number {
    return this.#map.size
  }

  has(name: string): boolean {
    return this.#map.has(name)
  }

  add(name: string): void {
    this.#map.set(name, true)
  }

  delete(name: string): boolean {
    return this.#map.delete(name)
  }

  [Symbol.iterator](): Iterator<string> {
    return this.#map.keys()
  }

  /** See `SharedMap.share`. */
  share(): void {
    this.#map.share()
  }

  /** See `SharedMap.clear`. */
  clear(): void {
    this.#map.clear()
  }
}
