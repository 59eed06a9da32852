import type { LogEntry, Operation } from './history.ts'
import { lastWhile } from './last-while.ts'

/** A change that a client has asked for, and where it is. */
export interface Effect {
  readonly revision: number
  readonly change: LogEntry
}

/** What was certain at a moment, and what could be: revisions that operations prove. */
export class Bounds {
  /** By time of completion, with the greatest revision known by then. */
  readonly #known: { readonly at: number; readonly revision: number }[] = []
  /** By time of invocation, from the last to the first, with the least revision that came of it or of a later one. */
  readonly #later: { readonly at: number; readonly revision: number }[] = []

  constructor(
    operations: readonly Operation[],
    effects: ReadonlyMap<string, readonly Effect[]>,
    head: number,
  ) {
    let most = 0
    for (const { completedAt: at, revision } of operations.toSorted(
      (a, b) => a.completedAt - b.completedAt,
    )) {
      if (revision === null || revision <= most) continue
      most = revision
      this.#known.push({ at, revision })
    }
    let least = head + 1
    for (const { id, invokedAt: at } of operations.toSorted((a, b) => b.invokedAt - a.invokedAt)) {
      for (const { revision } of effects.get(id) ?? []) least = Math.min(least, revision)
      this.#later.push({ at, revision: least })
    }
  }

  /** The greatest revision that somebody had been told of before `at`. */
  knownBefore(at: number): number {
    return lastWhile(this.#known, entry => entry.at < at)?.revision ?? 0
  }

  /** The last revision that can have been there at `at`: before the first write that was asked for later. */
  possibleAt(at: number): number {
    const next = lastWhile(this.#later, entry => entry.at > at)
    return next === undefined ? Infinity : next.revision - 1
  }
}
