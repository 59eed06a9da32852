import type { InstanceState, LogRevision } from './history.ts'
import { lastWhile } from './last-while.ts'

/** The state of every instance at every revision, as the log tells it. */
export class States {
  /** Per key the revisions at which it changed, in order. */
  readonly #changes = new Map<string, { readonly revision: number; readonly after: InstanceState | null }[]>()

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
  at(key: string, revision: number): InstanceState | null {
    return lastWhile(this.#changes.get(key) ?? [], change => change.revision <= revision)?.after ?? null
  }

  /** Everything of a service that existed at a revision. */
  ofService(service: string, revision: number): Record<string, InstanceState> {
    const found: Record<string, InstanceState> = {}
    for (const key of this.#changes.keys()) {
      if (!key.startsWith(`${service}/`)) continue
      const state = this.at(key, revision)
      if (state !== null) found[key] = state
    }
    return found
  }

  /** Whether the instance was missing at some revision from `from` to `to`, inclusive. */
  wasMissing(key: string, { from, to }: { readonly from: number; readonly to: number }): boolean {
    if (this.at(key, from) === null) return true
    return (this.#changes.get(key) ?? []).some(
      ({ revision, after }) => after === null && revision > from && revision <= to,
    )
  }
}
