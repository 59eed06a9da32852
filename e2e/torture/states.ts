import type { ItemState, LogRevision } from './history.ts'
import { lastWhile } from './last-while.ts'

/** The state of every instance and document at every revision, as the log tells it. */
export class States {
  /** Per key the revisions at which it changed, in order. */
  readonly #changes = new Map<string, { readonly revision: number; readonly after: ItemState | null }[]>()

  constructor(sets: readonly LogRevision[]) {
    for (const { revision, changes } of sets) {
      for (const { key, after } of changes) {
        const list = this.#changes.get(key) ?? []
        this.#changes.set(key, list)
        list.push({ revision, after })
      }
    }
  }

  /** null: it did not exist. */
  at(key: string, revision: number): ItemState | null {
    return lastWhile(this.#changes.get(key) ?? [], change => change.revision <= revision)?.after ?? null
  }

  /** Everything of a service or of a kind of documents that existed at a revision. */
  ofGroup(group: string, revision: number): Record<string, ItemState> {
    const found: Record<string, ItemState> = {}
    for (const key of this.#changes.keys()) {
      if (!key.startsWith(`${group}/`)) continue
      const state = this.at(key, revision)
      if (state !== null) found[key] = state
    }
    return found
  }

  /** Whether it was like this at some revision from `from` to `to`, inclusive; null: it did not exist. */
  was(
    key: string,
    { from, to }: { readonly from: number; readonly to: number },
    like: (state: ItemState | null) => boolean,
  ): boolean {
    if (like(this.at(key, from))) return true
    return (this.#changes.get(key) ?? []).some(
      ({ revision, after }) => revision > from && revision <= to && like(after),
    )
  }
}
