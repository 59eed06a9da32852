import { aggregateKey, encodeEvent, toAttributes, type EncodedEvent } from './cloud-event.ts'
import type { LoggedChange, OutboxCursor, ParkedEvent } from '../domain/outbox.ts'

/** One change that waits for a sink, and where the cursor is once it has been dealt with. */
export interface LogEntry {
  readonly aggregateType: string
  readonly aggregateId: string
  readonly aggregate: string
  /** null: the sink does not want it. */
  readonly encoded: EncodedEvent | null
  readonly after: OutboxCursor
}

export interface SliceLimits {
  readonly events: number
  readonly bytes: number
}

/** Whether a sink wants a change. */
export type Wants = (change: LoggedChange) => boolean

export const toEntries = (
  changes: readonly LoggedChange[],
  { source, wants }: { readonly source: string; readonly wants: Wants },
): LogEntry[] =>
  changes.map(change => ({
    aggregateType: change.aggregateType,
    aggregateId: change.aggregateId,
    aggregate: aggregateKey(change),
    encoded: wants(change) ? encodeEvent(toAttributes(change, source), change.payload) : null,
    after: change.last
      ? { revision: change.revision, position: 0 }
      : { revision: change.revision - 1, position: change.position + 1 },
  }))

type Parked = ReadonlySet<string>

/** The event that an entry means for the sink now; null: it is not wanted, or waits behind a parked one. */
export const deliverable = ({ encoded, aggregate }: LogEntry, parked: Parked): EncodedEvent | null =>
  parked.has(aggregate) ? null : encoded

/**
 * The beginning of `entries` that one delivery covers: up to the limits' worth of events for the sink, with the
 * entries between them that are not for it now. One event is always allowed, however large.
 */
export const nextSlice = (
  entries: readonly LogEntry[],
  { parked, limits }: { readonly parked: Parked; readonly limits: SliceLimits },
): readonly LogEntry[] => {
  let events = 0
  let bytes = 0
  let length = 0
  for (const entry of entries) {
    const encoded = deliverable(entry, parked)
    if (encoded !== null) {
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
  { parked, delivered }: { readonly parked: Parked; readonly delivered: number },
): readonly LogEntry[] => {
  let seen = 0
  const end = slice.findIndex(entry => {
    if (deliverable(entry, parked) === null) return false
    seen += 1
    return seen > delivered
  })
  return end === -1 ? slice : slice.slice(0, end)
}

/** The row that parks an event. */
export const toParked = (
  { aggregateType, aggregateId }: LogEntry,
  { event, json }: EncodedEvent,
  { error, attempts }: Pick<ParkedEvent, 'error' | 'attempts'>,
): ParkedEvent => ({
  id: event.id,
  revision: Number(event.revision),
  position: event.position,
  aggregateType,
  aggregateId,
  event: json,
  error,
  attempts,
})
