import type { Held } from './batch.ts'
import type { ChangeCounters } from './changed-names.ts'
import { SharedChunks, SharedMap } from './shared-map.ts'
import { SharedNames } from './shared-names.ts'

interface TypeChunks {
  readonly held: SharedChunks<Held>
  readonly names: SharedChunks<true>
  readonly counters: ChangeCounters
}

interface SharedStateOptions {
  /** With fewer names a stream shares nothing. */
  readonly smallest?: number
  /** What counts the changes of a type. */
  readonly counters?: (typeUrl: string) => ChangeCounters
}

/** Lets streams that hold the same share it in memory; one for all sessions of a server. */
export class SharedState {
  readonly #types = new Map<string, TypeChunks>()
  readonly #options: SharedStateOptions

  constructor(options: SharedStateOptions = {}) {
    this.#options = options
  }

  /** The part of one stream. Every type asked for is remembered for good. */
  open(typeUrl: string): TypeState {
    const known = this.#types.get(typeUrl)
    if (known !== undefined) return new TypeState(known)
    const chunks = {
      held: new SharedChunks<Held>(this.#options),
      names: new SharedChunks<true>(this.#options),
      counters: this.#options.counters?.(typeUrl) ?? { dropped: 0 },
    }
    this.#types.set(typeUrl, chunks)
    return new TypeState(chunks)
  }
}

/**
 * What grows with the names of one type of one stream: those subscribed one by one, and what the client has. Whoever
 * drives the delivery calls `share` after each request and `close` in the end.
 */
export class TypeState {
  readonly names: SharedNames
  readonly held: SharedMap<Held>
  readonly counters: ChangeCounters

  constructor(chunks: TypeChunks) {
    this.names = new SharedNames(chunks.names)
    this.held = new SharedMap(chunks.held)
    this.counters = chunks.counters
  }

  /** What is the same as with other streams is kept once from now on. */
  share(): void {
    this.names.share()
    this.held.share()
  }

  /** The stream has ended. */
  close(): void {
    this.names.clear()
    this.held.clear()
  }
}
