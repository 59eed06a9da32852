import type { Clock } from '../../runtime/clock.ts'
import type { XdsCounters } from '../counters.ts'
import { deltaWire, sotwWire, type ResponseWire } from '../push/encode-response.ts'
import { ResponseEncoder } from '../push/response-encoder.ts'
import { DeltaSession } from '../subscription/delta-session.ts'
import { Heartbeats, HeartbeatSession } from '../subscription/heartbeat-session.ts'
import type { SessionOptions } from '../subscription/session.ts'
import { SharedState } from '../subscription/shared-state.ts'
import { SotwSession } from '../subscription/sotw-session.ts'
import type { DeltaRequest, SotwRequest } from '../subscription/xds-request.ts'
import { decodeDeltaRequest, decodeSotwRequest, type RequestLimits } from './decode-request.ts'
import type { XdsForm } from './stream-context.ts'

interface XdsFormsOptions {
  readonly counters: XdsCounters
  readonly clock: Pick<Clock, 'now'>
  /** Delta responses carry the TTLs of resources (X22). */
  readonly heartbeats: boolean
  readonly limits: RequestLimits
}

interface XdsForms {
  readonly delta: XdsForm<DeltaRequest>
  readonly sotw: XdsForm<SotwRequest>
}

/** Both forms of the services of one server; their sessions share what is the same for many streams. */
export function xdsForms({ counters, clock, heartbeats, limits }: XdsFormsOptions): XdsForms {
  const shared = new SharedState({ counters: typeUrl => counters.of(typeUrl) })
  const noncePrefix = `${clock.now().toString(36)}-`
  const encoder = (wire: ResponseWire): ResponseEncoder =>
    new ResponseEncoder({ noncePrefix, counters, wire })
  const beats = new Heartbeats()
  const open = (options: SessionOptions): DeltaSession => new DeltaSession({ ...options, shared })
  return {
    delta: {
      name: 'delta',
      open: heartbeats
        ? options =>
            new HeartbeatSession({
              inner: open(options),
              heartbeats: beats,
              maxBytes: options.limits.maxResponseBytes,
            })
        : open,
      decode: bytes => decodeDeltaRequest(bytes, limits),
      encoder: encoder(deltaWire({ ttl: heartbeats })),
    },
    sotw: {
      name: 'sotw',
      open: options => new SotwSession({ ...options, shared }),
      decode: bytes => decodeSotwRequest(bytes, limits),
      encoder: encoder(sotwWire),
    },
  }
}
