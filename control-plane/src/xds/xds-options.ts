import type { Clock } from '../runtime/clock.ts'
import type { Logger } from '../runtime/logger.ts'
import type { XdsSource } from './port.ts'
import type { PushTracer } from './push/push-tracer.ts'
import type { SessionLimits, SessionTimings } from './subscription/session.ts'
import type { ExtraService } from './transport/extra-service.ts'
import type { ReloadedTls } from './transport/tls-material.ts'
import type { ListenAddress } from './transport/xds-listener.ts'

export interface XdsLimits extends SessionLimits {
  readonly maxStreams: number
  /** Told to the client in HTTP/2 settings; more of them are refused by the connection. */
  readonly maxStreamsPerConnection: number
  /** A client has one, or one for each type; those that it has lost linger until its connection counts as dead. */
  readonly maxStreamsPerNode: number
  readonly maxConnections: number
  readonly maxRequestBytes: number
  /** Of requests of all streams that have not come whole or wait, beyond 64 KiB of each. */
  readonly maxReceivedBytes: number
  /** Of responses of all streams that the transport has not taken, beyond 64 KiB of each. */
  readonly maxQueuedBytes: number
}

export interface XdsTimings extends SessionTimings {
  /** After this long without taking bytes or answering, a stream is closed with RESOURCE_EXHAUSTED. */
  readonly stuckMs: number
  /** A stream that has not named its node by then is closed with DEADLINE_EXCEEDED. */
  readonly firstMessageMs: number
  /** A request that has not come whole by then ends its stream. */
  readonly messageMs: number
  /** While others wait for room, a stream that holds some and does not go on is ended after that. */
  readonly patienceMs: number
  /** Between pings on a silent connection. */
  readonly keepaliveMs: number
  readonly keepaliveTimeoutMs: number
  /** How long streams may take to end when the server stops. */
  readonly stopMs: number
}

export interface XdsServerOptions {
  readonly source: XdsSource
  readonly clock: Clock
  readonly logger: Logger
  readonly listen: ListenAddress
  /** Without: plain text. */
  readonly tls?: ReloadedTls
  /** Delta responses carry the TTLs of resources, and heartbeats keep these from running out (X22). */
  readonly heartbeats?: boolean
  readonly limits?: Partial<XdsLimits>
  readonly timings?: Partial<XdsTimings>
  readonly tracer?: PushTracer
  /** Served on the same port. */
  readonly services?: readonly ExtraService[]
}

const mebibyte = 1024 * 1024

export const defaultLimits: XdsLimits = {
  maxNames: 200_000,
  maxTypes: 32,
  maxResponseBytes: 3 * mebibyte,
  maxFirstResponseBytes: 64 * mebibyte,
  maxStreams: 20_000,
  maxStreamsPerConnection: 128,
  maxStreamsPerNode: 64,
  maxConnections: 20_000,
  maxRequestBytes: 4 * mebibyte,
  maxReceivedBytes: 256 * mebibyte,
  maxQueuedBytes: 1024 * mebibyte,
}

export const defaultTimings: XdsTimings = {
  clusterAnswerMs: 100,
  clusterStuckMs: 16_000,
  orderMs: 20_000,
  stuckMs: 300_000,
  firstMessageMs: 30_000,
  messageMs: 30_000,
  patienceMs: 5_000,
  keepaliveMs: 30_000,
  keepaliveTimeoutMs: 20_000,
  stopMs: 2_000,
}
