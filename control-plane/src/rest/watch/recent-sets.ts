import type { ChangeSet } from '../../domain/change.ts'
import type { Revision } from '../../domain/revision.ts'
import type { MeshDelta } from '../../mesh/mesh-state.ts'

/**
 * The last revisions that this replica has applied, without a gap: what watchers that keep up read from. One
 * buffer for all of them; who falls out of it reads the log.
 */
export class RecentSets {
  readonly #capacity: number
  #sets: ChangeSet[] = []
  /** The revision before the first that is kept. */
  #base: Revision

  constructor(options: { readonly capacity: number; readonly revision: Revision }) {
    this.#capacity = options.capacity
    this.#base = options.revision
  }

  add({ revision, sets, resynchronised }: Omit<MeshDelta, 'rewritten'>): void {
    if (resynchronised) {
      this.#sets = []
      this.#base = revision
      return
    }
    this.#sets.push(...sets)
    // Cut in halves, so that a full buffer costs its copy once per many revisions.
    if (this.#sets.length > 2 * this.#capacity) {
      this.#sets = this.#sets.slice(-this.#capacity)
      this.#base = (this.#sets[0]?.revision ?? revision + 1) - 1
    }
  }

  /** The revisions after `cursor`, at most `limit`; undefined when they are no longer kept. */
  after(cursor: Revision, limit: number): readonly ChangeSet[] | undefined {
    if (cursor < this.#base) return undefined
    const start = cursor - this.#base
    return this.#sets.slice(start, start + limit)
  }
}
