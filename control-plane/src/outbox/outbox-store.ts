import type { Revision } from '../domain/revision.ts'
import type { CloudEvent } from './cloud-event.ts'

/** How far a sink is: every whole revision up to `revision`, and `position` changes of the one after it. */
export interface OutboxCursor {
  readonly revision: Revision
  readonly position: number
}

/** An event that a sink refuses, or that waits behind one. */
export interface ParkedEvent {
  /** The change's id. */
  readonly id: string
  readonly revision: Revision
  readonly position: number
  readonly aggregateType: string
  readonly aggregateId: string
  readonly event: CloudEvent
  /** What the sink said. */
  readonly error: string
  /** How often it was tried; 0: it waits behind an earlier one. */
  readonly attempts: number
}

export interface SinkProgress {
  /** null: the sink has never been claimed. */
  readonly cursor: OutboxCursor | null
  readonly head: Revision
  readonly parked: number
}

/** A sink under the fence of the replica that owns it. */
export interface FencedSink {
  readonly sink: string
  readonly fence: number
}

/**
 * What the publisher keeps in Postgres. Every write names the owner's fence and has no effect when a newer owner
 * has claimed the sink; the answer says which. Implemented by `store/outbox-table.ts`.
 */
export interface OutboxStore {
  /**
   * Stamps the fence on the sink's cursor, which shuts out former owners, and reads the cursor. Makes it where
   * there is none. null: a newer owner has it.
   */
  claim(sink: FencedSink & { readonly start: 'oldest' | 'now' }): Promise<OutboxCursor | null>
  /** Moves the cursor and parks events, both or neither. False: a newer owner has the sink. */
  advance(
    step: FencedSink & { readonly to: OutboxCursor; readonly park: readonly ParkedEvent[] },
  ): Promise<boolean>
  /** `aggregateType/aggregateId` of all that is parked, and how many events that is. */
  parkedAggregates(sink: string): Promise<{ readonly aggregates: readonly string[]; readonly events: number }>
  /** The oldest parked event of each aggregate, those tried least first. */
  parkedHeads(query: { readonly sink: string; readonly limit: number }): Promise<readonly ParkedEvent[]>
  /** The parked events of one aggregate in order. */
  parkedOf(
    query: { readonly sink: string; readonly limit: number } & Pick<
      ParkedEvent,
      'aggregateType' | 'aggregateId'
    >,
  ): Promise<readonly ParkedEvent[]>
  /** Removes a parked event that was delivered after all. False: a newer owner has the sink. */
  unpark(event: FencedSink & { readonly id: string }): Promise<boolean>
  /** Counts one more attempt at a parked event. False: a newer owner has the sink. */
  refused(event: FencedSink & { readonly id: string; readonly error: string }): Promise<boolean>
  progress(sink: string): Promise<SinkProgress>
}
