import type { ChangeSet } from '../domain/change.ts'
import { aggregateKey, encodeEvent, toCloudEvent, type EncodedEvent } from './cloud-event.ts'
import type { OutboxCursor, ParkedEvent } from './outbox-store.ts'

/** One change that waits for a sink, and where the cursor is once it has been dealt with. */
export interface LogEntry {
  readonly aggregateType: string
  readonly aggregateId: string
  readonly aggregate: string
  readonly encoded: EncodedEvent
  readonly after: OutboxCursor
}

export interface SliceLimits {
  readonly events: number
  readonly bytes: number
}

/** What `toEntries` makes of a page of the log: the changes after `cursor`, in order. */
export const toEntries = (
  sets: readonly ChangeSet[],
  { cursor, source }: { readonly cursor: OutboxCursor; readonly source: string },
): LogEntry[] =>
  sets.flatMap(({ revision, changes }) =>
    changes
      .map((change, index): LogEntry => {
        const whole = index === changes.length - 1
        return {
          aggregateType: change.aggregateType,
          aggregateId: change.aggregateId,
          aggregate: aggregateKey(change),
          encoded: encodeEvent(toCloudEvent(change, source)),
          after: whole ? { revision, position: 0 } : { revision: revision - 1, position: index + 1 },
        }
      })
      .slice(revision === cursor.revision + 1 ? cursor.position : 0),
  )

/**
 * The beginning of `entries` that one delivery covers: up to the limits' worth of events for the sink, with the
 * entries between them whose aggregate is parked. One event is always allowed, however large.
 */
export const nextSlice = (
  entries: readonly LogEntry[],
  { parked, limits }: { readonly parked: ReadonlySet<string>; readonly limits: SliceLimits },
): readonly LogEntry[] => {
  let events = 0
  let bytes = 0
  let length = 0
  for (const { aggregate, encoded } of entries) {
    if (!parked.has(aggregate)) {
      if (events > 0 && (events + 1 > limits.events || bytes + encoded.bytes > limits.bytes)) break
      events += 1
      bytes += encoded.bytes
    }
    length += 1
  }
  return entries.slice(0, length)
}

/** The entries of a slice before its `delivered`-th deliverable one: what is done after a partial delivery. */
export const doneOf = (
  slice: readonly LogEntry[],
  { parked, delivered }: { readonly parked: ReadonlySet<string>; readonly delivered: number },
): readonly LogEntry[] => {
  let seen = 0
  const end = slice.findIndex(({ aggregate }) => {
    if (parked.has(aggregate)) return false
    seen += 1
    return seen > delivered
  })
  return end === -1 ? slice : slice.slice(0, end)
}

/** The row that parks an entry. */
export const toParked = (
  { encoded, aggregateType, aggregateId }: LogEntry,
  { error, attempts }: Pick<ParkedEvent, 'error' | 'attempts'>,
): ParkedEvent => ({
  id: encoded.event.id,
  revision: Number(encoded.event.revision),
  position: encoded.event.position,
  aggregateType,
  aggregateId,
  event: encoded.event,
  error,
  attempts,
})
