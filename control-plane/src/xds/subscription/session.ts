/** One stream's part of the protocol, whatever its form: requests in, responses in the right order out. */
import type { Revision } from '../../domain/revision.ts'
import type { ResourceSet } from '../port.ts'
import type { Answer, Batch } from './batch.ts'
import type { Delivery } from './delivery.ts'
import type { Refusal } from './refusals.ts'
import type { SharedState } from './shared-state.ts'
import type { SubscriptionActions } from './subscription.ts'
import type { XdsRequest } from './xds-request.ts'

export interface SessionLimits {
  /** Names that one stream may subscribe to, over all types. */
  readonly maxNames: number
  readonly maxTypes: number
  /** Aimed at, not exact: a single larger resource still goes, alone. */
  readonly maxResponseBytes: number
  /**
   * The same for the first response of a type to an Envoy, which takes messages of any size: it starts to serve
   * when it has one response, so what came in a second one would be missing for a moment.
   */
  readonly maxFirstResponseBytes: number
}

/** `agent`: as in `XdsNode`. Other clients than Envoy may refuse a message of more than 4 MiB, as gRPC does by default. */
export const limitsFor = (agent: string, limits: SessionLimits): SessionLimits =>
  agent.startsWith('envoy/') ? limits : { ...limits, maxFirstResponseBytes: limits.maxResponseBytes }

export interface SessionTimings {
  /** How long CDS waits for an answer before it goes on without (X19). */
  readonly clusterAnswerMs: number
  /**
   * After this long without an answer to clusters one of them must be stuck in warming (X16). Longer than
   * Envoy waits for endpoints (15 s), shorter than `orderMs`: routes do not use the clusters yet.
   */
  readonly clusterStuckMs: number
  /** How long the order of X20 is waited for. */
  readonly orderMs: number
}

export interface SessionOptions {
  readonly setOf: (typeUrl: string) => ResourceSet | undefined
  readonly revision: () => Revision
  readonly limits: SessionLimits
  readonly timings: SessionTimings
  /** With the sessions of other streams; without: with nobody. */
  readonly shared?: SharedState
  /** The stream carries all types of its client; else one type, and there is no order to keep. */
  readonly aggregated: boolean
}

/** The client went beyond a limit or sent nonsense; ends the stream. */
export class SessionError extends Error {
  override readonly name = 'SessionError'
  /** A `grpc.status` number: 3 INVALID_ARGUMENT, 8 RESOURCE_EXHAUSTED. */
  readonly status: 3 | 8

  constructor(status: 3 | 8, message: string) {
    super(message)
    this.status = status
  }
}

export interface RequestOutcome {
  readonly delivery: Delivery
  readonly actions: SubscriptionActions
  /** Undefined when the message answered nothing. */
  readonly answer: Answer | undefined
}

/**
 * Deterministic: `now` (on the monotonic clock, in milliseconds) is an input, and whoever drives it calls `next`
 * after each request, each change, each free place in the transport, and at `wakeAt`.
 */
export interface Session<Request extends XdsRequest> {
  readonly deliveries: readonly Delivery[]
  /** When `next` has to be called again although nothing happens; undefined: never. */
  readonly wakeAt: number | undefined
  /** Takes a request. Throws SessionError. */
  request(message: Request, now: number): RequestOutcome
  /** The next response to write, or undefined when there is none now. Follow with `sent`. */
  next(now: number): Batch | undefined
  /** The batch has been written under this nonce. */
  sent(batch: Batch, nonce: string, now: number): void
  /** Gives up on clusters that the client has said nothing about for too long; returns what that amounts to. */
  unstick(now: number): Refusal | undefined
  /** The delivery of clusters when the time has come to send them unasked; once. */
  assumeClusters(now: number): Delivery | undefined
}
