import type { AdmissionFigures } from './push/admission.ts'
import type { PaceFigures } from './push/pace.ts'

/** What the xDS server has counted since it was built; plain numbers that telemetry reads. */
export interface XdsCounters extends AdmissionFigures, PaceFigures {
  /** Streams that are open now. */
  streams: number
  opened: number
  /** Streams that the source or the server refused (bad first message, unknown node, limits). */
  refused: number
  /** Streams closed because the client took or answered nothing for too long. */
  closedStuck: number
  requests: number
  responses: number
  resources: number
  /** Bytes of responses handed to the transport. */
  bytes: number
  acks: number
  nacks: number
  staleAnswers: number
  /** Resources encoded; a resource shared by many streams counts once. */
  encodes: number
}

export const newXdsCounters = (): XdsCounters => ({
  streams: 0,
  opened: 0,
  refused: 0,
  closedStuck: 0,
  requests: 0,
  responses: 0,
  resources: 0,
  bytes: 0,
  acks: 0,
  nacks: 0,
  staleAnswers: 0,
  encodes: 0,
  waiting: 0,
  delayed: 0,
  longestWaitMs: 0,
  paced: 0,
})
