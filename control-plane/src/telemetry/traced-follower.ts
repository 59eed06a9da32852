import type { ChangeSet } from '../domain/change.ts'
import type { Revision } from '../domain/revision.ts'
import type { MeshSnapshot } from '../domain/snapshot.ts'
import type { FeedTracing } from './feed-tracing.ts'

/** Who follows the feed. */
interface Follower {
  readonly revision: Revision
  readonly loaded: boolean
  load(snapshot: MeshSnapshot, rewritten: boolean): void
  apply(sets: readonly ChangeSet[]): void
}

/** The same follower, with spans around what it applies. */
export const tracedFollower = (follower: Follower, steps: () => FeedTracing): Follower => ({
  get revision() {
    return follower.revision
  },
  get loaded() {
    return follower.loaded
  },
  load: (snapshot, rewritten) => {
    follower.load(snapshot, rewritten)
  },
  apply: sets => {
    steps().apply(sets, () => {
      follower.apply(sets)
    })
  },
})
