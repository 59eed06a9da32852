import type { ServerDuplexStream } from '@grpc/grpc-js'
import type { Clock } from '../../runtime/clock.ts'
import type { RevisionJournal } from '../acks/revision-journal.ts'
import type { XdsCounters } from '../counters.ts'
import type { XdsSource } from '../port.ts'
import type { Admission } from '../push/admission.ts'
import type { FanOut, Flushable } from '../push/fan-out.ts'
import type { Pace } from '../push/pace.ts'
import type { PushSteps } from '../push/push-steps.ts'
import type { ResourceHub } from '../push/resource-hub.ts'
import type { ResponseEncoder } from '../push/response-encoder.ts'
import type { Session, SessionLimits, SessionOptions, SessionTimings } from '../subscription/session.ts'
import type { MalformedRequest, XdsRequest } from '../subscription/xds-request.ts'
import type { ByteBudget } from './byte-budget.ts'
import type { StreamLog } from './stream-log.ts'

export type FormName = 'delta' | 'sotw'

/** The form of a service: how its sessions work and how its responses are written. */
export interface XdsForm<Request extends XdsRequest> {
  readonly name: FormName
  open(options: SessionOptions): Session<Request>
  /** Never throws. */
  decode(bytes: Uint8Array): Request | MalformedRequest
  readonly encoder: ResponseEncoder
}

export type XdsCall = ServerDuplexStream<Buffer, Buffer>

/** What all streams of a server share. */
export interface StreamContext<Stream extends Flushable> {
  readonly source: XdsSource
  readonly hub: ResourceHub
  readonly fanOut: FanOut<Stream>
  readonly admission: Admission
  readonly pace: Pace
  /** For responses that the transport has not taken. */
  readonly queued: ByteBudget
  readonly steps: PushSteps
  /** Told which streams a revision touches. */
  readonly journal: RevisionJournal
  readonly clock: Clock
  readonly log: StreamLog
  readonly counters: XdsCounters
  readonly limits: SessionLimits
  readonly timings: SessionTimings
  /** Throws SessionError if the node has too many streams. */
  onNamed(stream: Stream, node: string): void
  /** The stream's state has changed. */
  onStatus(stream: Stream): void
  onEnd(stream: Stream): void
}
