import { WaymarkError } from '../../domain/errors.ts'
import type { MeshScope } from '../../domain/mesh-scope.ts'
import { CompactedError, type Revision } from '../../domain/revision.ts'
import type { MeshState } from '../../mesh/mesh-state.ts'
import type { MeshView } from '../../mesh/mesh-view.ts'
import { Differences, PastMesh } from '../../mesh/past-mesh.ts'
import type { RestLimits } from '../limits.ts'
import type { PastReader } from '../ports.ts'

interface Entry {
  readonly differences: Differences
  /** The differences hold what has changed up to this revision. */
  upTo: Revision
}

/** Past states that are kept for the next page, or the next question about the same moment. */
const maxEntries = 8
/** Reads that wait for their turn. */
const maxQueue = 64

interface PastOptions {
  readonly mesh: MeshState
  readonly past: PastReader
  readonly limits: RestLimits
}

/**
 * The mesh as it was: the present, less what the log says has changed since. Bounded in the reads at once, in the
 * revisions walked, in the aggregates found and in what is kept.
 */
export class PastStates {
  readonly #options: PastOptions
  readonly #entries = new Map<string, Entry>()
  readonly #unsubscribe: () => void
  #reading = 0
  readonly #queue: (() => void)[] = []

  constructor(options: PastOptions) {
    this.#options = options
    this.#unsubscribe = options.mesh.onDelta(({ resynchronised }) => {
      if (resynchronised) this.#entries.clear()
    })
  }

  close(): void {
    this.#unsubscribe()
  }

  /**
   * Calls `work` with the scope as it was at `revision`, which this replica must have reached, and gives its result:
   * in one turn of the event loop, for then the present moves on. Rejects with `compacted`, `past_too_far`,
   * `overloaded`, `database_unavailable`.
   */
  async at<T>(revision: Revision, scope: MeshScope, work: (mesh: MeshView) => T): Promise<T> {
    const { mesh } = this.#options
    const key = `${revision} ${JSON.stringify(scope)}`
    const entry = this.#entries.get(key) ?? { differences: new Differences(), upTo: revision }
    this.#keep(key, entry)
    while (entry.upTo < mesh.revision) await this.#extend(entry, revision, scope)
    return work(new PastMesh({ revision, present: mesh, differences: entry.differences }))
  }

  async #extend(entry: Entry, revision: Revision, scope: MeshScope): Promise<void> {
    const { mesh, past, limits } = this.#options
    const upTo = mesh.revision
    const walked = upTo - entry.upTo
    if (walked > limits.pastRevisions) {
      throw tooFar(`${walked} revisions lie between; at most ${limits.pastRevisions} are walked back`)
    }
    await this.#turn()
    try {
      const limit = limits.pastAggregates + 1
      const states = await past.formerStates({ after: entry.upTo, upTo, scope, limit })
      if (states.length + entry.differences.size >= limit) {
        throw tooFar(`more than ${limits.pastAggregates} instances and documents have changed since`)
      }
      entry.differences.add(states)
      entry.upTo = Math.max(entry.upTo, upTo)
    } catch (error) {
      throw error instanceof CompactedError ? compactedPast(revision, error) : error
    } finally {
      this.#reading -= 1
      this.#queue.shift()?.()
    }
  }

  /** A walk through the log is work for Postgres: a few at a time, some more wait. */
  async #turn(): Promise<void> {
    const { pastReads } = this.#options.limits
    while (this.#reading >= pastReads) {
      if (this.#queue.length >= maxQueue) {
        throw new WaymarkError('overloaded', `${this.#queue.length} reads of the past wait already`)
      }
      const { promise, resolve } = Promise.withResolvers<undefined>()
      this.#queue.push(() => {
        resolve(undefined)
      })
      await promise
    }
    this.#reading += 1
  }

  /** The least recently used go first; all together hold little more than one may. */
  #keep(key: string, entry: Entry): void {
    this.#entries.delete(key)
    this.#entries.set(key, entry)
    let states = [...this.#entries.values()].reduce((sum, { differences }) => sum + differences.size, 0)
    for (const [oldest, { differences }] of this.#entries) {
      if (oldest === key) return
      if (this.#entries.size <= maxEntries && states <= this.#options.limits.pastAggregates) return
      this.#entries.delete(oldest)
      states -= differences.size
    }
  }
}

const tooFar = (detail: string): WaymarkError =>
  new WaymarkError('past_too_far', `${detail}; ask for a later moment, for one service, or read /changes`)

/** A state needs all changes after it: the oldest that can be read is the one before the oldest change. */
export const compactedPast = (revision: Revision, error: CompactedError): WaymarkError => {
  const cause = new CompactedError(
    revision,
    error.oldest - 1,
    `the state at revision ${revision} can no longer be read; the oldest that can is ${error.oldest - 1}`,
  )
  return new WaymarkError('compacted', cause.message, { cause })
}
