import type { EventSinkType } from '@waymark/sidecar-config/model/event-sink.ts'
import type { EncodedEvent } from './cloud-event.ts'

/**
 * Where events go. Implementations are held to `sink-contract.ts`.
 */
export interface Sink {
  readonly name: string
  readonly kind: EventSinkType
  /** The most events, and bytes of JSON, of one delivery. A single event may be larger. */
  readonly maxBatch: number
  readonly maxBatchBytes: number
  /**
   * Resolves when the sink has all of `events`, which it takes in their order. Rejects with a DeliveryError, or
   * with any other error, which counts as retryable; also when `signal` aborts. One delivery at a time.
   */
  deliver(events: readonly EncodedEvent[], signal: AbortSignal): Promise<void>
  /** Lets go of files and connections. A later delivery opens them again. */
  close(): Promise<void>
}

/**
 * - `retryable`: the sink cannot take anything now; try the same again, for ever.
 * - `unready`: the same, and other events prove nothing against this one: where it goes there is no topic or stream,
 *   or no right to it.
 * - `poison`: the sink refuses what one of these events says; it may well take others.
 * - `gone`: the receiver wants no more events (HTTP 410); ask again rarely.
 */
export type FailureKind = 'retryable' | 'unready' | 'poison' | 'gone'

export interface DeliveryFailure {
  readonly kind: FailureKind
  /** How many events at the beginning of the delivery the sink surely has. */
  readonly delivered?: number
  /** The receiver's own wish. */
  readonly retryAfterMs?: number | null
  readonly cause?: unknown
}

export class DeliveryError extends Error {
  override readonly name = 'DeliveryError'
  readonly kind: FailureKind
  readonly delivered: number
  readonly retryAfterMs: number | null

  constructor(message: string, failure: DeliveryFailure) {
    super(message, failure.cause === undefined ? undefined : { cause: failure.cause })
    this.kind = failure.kind
    this.delivered = failure.delivered ?? 0
    this.retryAfterMs = failure.retryAfterMs ?? null
  }
}

/** What is not a DeliveryError is retryable: an unknown failure must not lose an event. */
export const toDeliveryError = (error: unknown): DeliveryError =>
  error instanceof DeliveryError
    ? error
    : new DeliveryError(error instanceof Error ? error.message : String(error), {
        kind: 'retryable',
        cause: error,
      })
