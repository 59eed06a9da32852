/** Everything in REST that could grow has a bound; these are they. Bytes, milliseconds, counts. */
export interface RestLimits {
  /** Bodies: of documents, of 1,000 heartbeats with all that they may say, and of everything else. */
  readonly documentBytes: number
  readonly heartbeatsBytes: number
  readonly bodyBytes: number
  readonly headerBytes: number
  readonly connections: number
  /** For a request to arrive, whole; an idle connection. */
  readonly requestTimeoutMs: number
  readonly keepAliveMs: number
  /** For requests in flight when the listener closes. */
  readonly closeGraceMs: number
  /** Requests that wait for a revision (`minRevision`, `index`): how many, and for how long. */
  readonly waiting: number
  readonly defaultWaitMs: number
  readonly maxWaitMs: number
  /** Answers that are kept (bytes). */
  readonly answerBytes: number
  /** The past: reads at once, revisions that one may walk back, and aggregates that it may find changed. */
  readonly pastReads: number
  readonly pastRevisions: number
  readonly pastAggregates: number
  /** How long a write may wait for the sidecars that it touches (`wait=acked`). */
  readonly defaultAckWaitMs: number
  readonly maxAckWaitMs: number
  /** For fresh times of evidence; after it the answer comes from memory. */
  readonly pulseTimeoutMs: number
  /** Server-sent events: streams, revisions read from the log at once, when a silent stream shows that it lives. */
  readonly watchers: number
  readonly watchPage: number
  readonly watchHeartbeatMs: number
  /** How long a watcher, or who has sent a batch, may leave its socket full before it is closed. */
  readonly watchStallMs: number
  /** Between attempts to read the log while the database is away. */
  readonly watchRetryMs: number
}

export const defaultLimits: RestLimits = {
  documentBytes: 262_144,
  heartbeatsBytes: 4_194_304,
  bodyBytes: 65_536,
  headerBytes: 16_384,
  connections: 10_000,
  requestTimeoutMs: 10_000,
  keepAliveMs: 65_000,
  closeGraceMs: 5_000,
  waiting: 5_000,
  defaultWaitMs: 5_000,
  maxWaitMs: 30_000,
  answerBytes: 33_554_432,
  pastReads: 4,
  pastRevisions: 1_000_000,
  pastAggregates: 50_000,
  defaultAckWaitMs: 5_000,
  maxAckWaitMs: 30_000,
  pulseTimeoutMs: 500,
  watchers: 5_000,
  watchPage: 200,
  watchHeartbeatMs: 15_000,
  watchStallMs: 30_000,
  watchRetryMs: 1_000,
}
