import type { ParkedEntry } from '../domain/outbox.ts'
import type { Revision } from '../domain/revision.ts'

/** How a sink is doing, as this replica knows it. */
export interface SinkState {
  readonly sink: string
  readonly kind: string
  readonly origin: 'configuration' | 'document'
  /** Everything up to this revision has been delivered or parked. */
  readonly revision: Revision
  readonly head: Revision
  /** Revisions that wait, and how long the oldest of them has (ms). */
  readonly lag: number
  readonly lagMs: number
  readonly parked: number
  readonly paused: { readonly since: string; readonly by: string } | null
  /** The log no longer has what comes next. */
  readonly compacted: boolean
  /** The last time that delivery did not continue where it was. */
  readonly gap: {
    readonly deliveredTo: Revision
    readonly resumesAfter: Revision
    readonly reason: 'compacted' | 'restored'
    readonly at: string
  } | null
  /** No replica has it in its configuration any more. */
  readonly orphaned: boolean
  readonly error: string | null
  /** The replica that delivers; null: nobody, or not known. */
  readonly owner: string | null
}

/**
 * What operators ask of sinks: outbox/sink-control.ts. What is asked is stored and reaches the owner of the sink
 * within a second, whichever replica it is. Rejects with WaymarkError `sink_not_found`, `database_unavailable`.
 */
export interface SinkPort {
  /** In order of their names. */
  list(): readonly SinkState[]
  /** Throws WaymarkError `sink_not_found`. */
  get(sink: string): SinkState
  /** Why a document of this name would not become a sink; null: it would. */
  refuses(sink: string): string | null
  pause(sink: string, by: string): Promise<void>
  resume(sink: string): Promise<void>
  /**
   * Resolves with the first revision that is delivered again. Rejects with CompactedError, with WaymarkError
   * `invalid_request` when it is later than the next one.
   */
  replay(sink: string, from: Revision | 'oldest'): Promise<Revision>
  retryParked(sink: string): Promise<void>
  parked(query: {
    readonly sink: string
    readonly after: { readonly revision: Revision; readonly position: number }
    readonly limit: number
  }): Promise<readonly ParkedEntry[]>
  /** Rejects with WaymarkError `parked_event_not_found`. */
  dropParked(sink: string, id: string): Promise<void>
  /** Resolves with how many events were parked of it. */
  dropParkedOf(
    sink: string,
    aggregate: { readonly aggregateType: string; readonly aggregateId: string },
  ): Promise<number>
  /** Removes what is kept of an orphaned sink. Rejects with WaymarkError `sink_in_use`. */
  forget(sink: string): Promise<void>
  /** Types of events, without `io.waymark.`. */
  readonly eventTypes: readonly string[]
  /** The JSON Schema of the `data` of a type; undefined: there is no such type. */
  eventSchema(type: string): object | undefined
}
