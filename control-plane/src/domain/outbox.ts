import type { Revision } from './revision.ts'

/** How far a sink is: every whole revision up to `revision`, and `position` changes of the one after it. */
export interface OutboxCursor {
  readonly revision: Revision
  readonly position: number
}

/** A sink under the fence of the replica that owns it, as long as nobody wishes anything of it. */
export interface SinkHold {
  readonly sink: string
  readonly fence: number
  readonly epoch: number
}

/** A change as a sink gets it: its payload stays the text that Postgres gave, so that it is never built anew. */
export interface LoggedChange {
  /** UUID v7. */
  readonly id: string
  readonly revision: Revision
  readonly position: number
  /** Whether it is the last one of its revision. */
  readonly last: boolean
  readonly aggregateType: string
  readonly aggregateId: string
  readonly type: string
  /** Milliseconds since the epoch, Postgres time. */
  readonly occurredAt: number
  readonly actor: string
  readonly traceparent: string | null
  /** JSON: an object with `before` and `after`. */
  readonly payload: string
}

/** An event that a sink refuses, or that waits behind one. */
export interface ParkedEvent {
  /** The change's id. */
  readonly id: string
  readonly revision: Revision
  readonly position: number
  readonly aggregateType: string
  readonly aggregateId: string
  /** The CloudEvent as JSON. */
  readonly event: string
  /** What the sink said. */
  readonly error: string
  /** How often it was tried; 0: it waits behind an earlier one. */
  readonly attempts: number
}

/** A parked event as operators see it. */
export interface ParkedEntry extends Omit<ParkedEvent, 'event'> {
  /** The CloudEvent. */
  readonly event: unknown
  /** ISO 8601. */
  readonly parkedAt: string
}
