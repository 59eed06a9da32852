import type { Revision } from '../domain/revision.ts'
import type { SinkGap, SinkIdentity, SinkPause, SinkProgress } from './outbox-store.ts'
import type { Sink } from './sink.ts'

export interface SinkStatus {
  readonly sink: string
  /** `unknown`: no replica has the sink in its configuration any more. */
  readonly kind: Sink['kind'] | 'unknown'
  readonly origin: SinkIdentity['origin']
  /** Everything up to this revision has been delivered or parked. */
  readonly revision: Revision
  readonly head: Revision
  /** Revisions that wait. */
  readonly lag: number
  /** How long the oldest of them has waited (ms); 0: none waits. */
  readonly lagMs: number
  readonly parked: number
  readonly paused: SinkPause | null
  /** The log no longer has what comes next: the sink will be told of a gap. */
  readonly compacted: boolean
  /** The last gap that it was told of. */
  readonly gap: SinkGap | null
  /** Left over from a configuration that no replica has any more. */
  readonly orphaned: boolean
  /** Why the last attempt failed; null: it did not. Known on every replica, a few seconds after the owner. */
  readonly error: string | null
  /** The replica that delivers; null: nobody, or not known. */
  readonly owner: string | null
}

export const unknownProgress: SinkProgress = {
  cursor: null,
  epoch: 0,
  paused: null,
  head: 0,
  parked: 0,
  waitingMs: 0,
  oldest: 1,
  gap: null,
}

export const sinkStatus = (
  { cursor, head, parked, paused, waitingMs, oldest, gap }: SinkProgress,
  known: Pick<SinkStatus, 'sink' | 'kind' | 'origin' | 'error' | 'owner' | 'orphaned'>,
): SinkStatus => {
  const revision = cursor?.revision ?? 0
  const lag = Math.max(0, head - revision)
  return {
    ...known,
    revision,
    head: Math.max(head, revision),
    lag,
    lagMs: lag === 0 ? 0 : waitingMs,
    parked,
    paused,
    compacted: cursor !== null && revision + 1 < oldest,
    gap,
  }
}
