import type { LoggedChange, OutboxCursor, ParkedEvent, SinkHold } from '../domain/outbox.ts'
import type { Revision } from '../domain/revision.ts'

export interface OutboxPage {
  readonly changes: readonly LoggedChange[]
  /** The newest revision at the moment of reading. */
  readonly head: Revision
  /**
   * Whether the sink was held as the request says at the moment of reading. So whatever was written after a pause
   * was answered comes with false, on every replica.
   */
  readonly held: boolean
}

export interface PageRequest {
  /** For whom. */
  readonly hold: SinkHold
  readonly after: OutboxCursor
  /** Changes. */
  readonly limit: number
  /** Of payload, in characters; the change that goes beyond is the last one. */
  readonly maxBytes: number
}

/** Implemented by `store/outbox-log.ts`. */
export interface OutboxLog {
  /** Rejects with CompactedError when the next revision has been removed, with `database_unavailable`. */
  read(request: PageRequest): Promise<OutboxPage>
}

export interface ParkedSize {
  readonly events: number
  /** As stored, which may be compressed. */
  readonly bytes: number
}

export interface SinkProgress {
  /** null: the sink has never been claimed. */
  readonly cursor: OutboxCursor | null
  /** Grows whenever somebody has paused, resumed or replayed the sink, or wants parked events to be tried. */
  readonly epoch: number
  readonly paused: SinkPause | null
  readonly head: Revision
  readonly parked: number
  /** How long the oldest change has waited that the sink has not been given (ms, by the clock of Postgres). */
  readonly waitingMs: number
  /** The oldest revision that the log has. */
  readonly oldest: Revision
  /** The last time that the log did not continue where the sink was. */
  readonly gap: SinkGap | null
}

/** Changes between two revisions that a sink was never given. */
export interface SinkGap {
  readonly deliveredTo: Revision
  readonly resumesAfter: Revision
  /** Retention has removed them, or the database is an older one, restored. */
  readonly reason: 'compacted' | 'restored'
  /** ISO 8601. */
  readonly at: string
}

export interface SinkPause {
  /** ISO 8601, Postgres time. */
  readonly since: string
  readonly by: string
}

export interface SinkIdentity {
  readonly sink: string
  /** Where it begins that has never been given anything: with the oldest change kept, or with the next one. */
  readonly start: 'oldest' | 'now'
  /** A sink of a document has a cursor only while the document is there. */
  readonly origin: 'configuration' | 'document'
}

export interface Claim {
  readonly cursor: OutboxCursor
  readonly epoch: number
  readonly paused: boolean
}

/**
 * What the publisher keeps in Postgres. Every write names the owner's fence and epoch, and has no effect when a newer
 * owner has claimed the sink or the epoch is another one: it then answers false. Implemented by
 * `store/outbox-table.ts`.
 */
export interface OutboxStore {
  /**
   * Stamps the fence on the sink's cursor, which shuts out former owners, and reads the cursor. Makes it where
   * there is none. null: a newer owner has it, or the sink's document is gone.
   */
  claim(sink: SinkIdentity & { readonly fence: number }): Promise<Claim | null>
  /**
   * Moves the cursor and parks events, both or neither. A crash of Postgres may lose the last moves, never a part
   * of one.
   */
  advance(
    step: SinkHold & {
      readonly to: OutboxCursor
      readonly park: readonly ParkedEvent[]
      /** What the move leaves out. */
      readonly gap?: SinkGap
    },
  ): Promise<boolean>
  /** `aggregateType/aggregateId` of all that is parked, how many events that is, and how much of a disk. */
  parkedAggregates(sink: string): Promise<ParkedSize & { readonly aggregates: readonly string[] }>
  /** The oldest parked event of each aggregate, those tried least first. */
  parkedHeads(query: { readonly sink: string; readonly limit: number }): Promise<readonly ParkedEvent[]>
  /** The parked events of one aggregate in order. */
  parkedOf(
    query: { readonly sink: string; readonly limit: number } & Pick<
      ParkedEvent,
      'aggregateType' | 'aggregateId'
    >,
  ): Promise<readonly ParkedEvent[]>
  /** Removes a parked event that was delivered after all. */
  unpark(event: SinkHold & { readonly id: string }): Promise<boolean>
  /** Counts one more attempt at a parked event. */
  refused(event: SinkHold & { readonly id: string; readonly error: string }): Promise<boolean>
  progress(sink: string): Promise<SinkProgress>
}
