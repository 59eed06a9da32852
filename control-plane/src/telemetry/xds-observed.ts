/** Values counted by size; see `runtime/histogram.ts`. */
export interface HistogramReading {
  readonly bounds: readonly number[]
  /** Of each bucket alone, that beyond the last bound included. */
  readonly counts: readonly number[]
  readonly sum: number
}

/** Of one resource type. */
interface TypeObserved {
  /** One of a fixed few. */
  readonly type: string
  readonly responses: number
  readonly resources: number
  readonly removed: number
  readonly bytes: number
  readonly encodes: number
  readonly acks: number
  readonly nacks: number
  readonly staleAnswers: number
  readonly merged: number
  readonly dropped: number
  /** Seconds. */
  readonly ack: HistogramReading
  readonly convergence: HistogramReading
}

/** What the xDS server tells about itself. */
export interface XdsObserved {
  /** Totals. */
  readonly counters: {
    readonly opened: number
    readonly refusals: Readonly<Record<string, number>>
    readonly closedStuck: number
    readonly requests: number
    readonly paced: number
    /** Newcomers that wait now. */
    readonly waiting: number
    readonly delayed: number
    readonly admitted: number
    readonly waits: HistogramReading
    readonly types: readonly TypeObserved[]
  }
  /** What there is at the moment. */
  readonly figures: {
    /** Streams by state. */
    readonly delta: Readonly<Record<string, number>>
    readonly sotw: Readonly<Record<string, number>>
    readonly types: ReadonlyMap<
      string,
      {
        readonly names: number
        readonly wildcards: number
        readonly waiting: number
        readonly unanswered: number
      }
    >
    readonly queued: number
    /** Bytes that count against the budgets of all streams: of requests and of responses. */
    readonly receivedBytes: number
    readonly queuedBytes: number
    readonly fanOut: number
  }
  /** Peers without a credential, with that of another service, and streams whose credential counts no more. */
  readonly access: {
    readonly unauthenticated: number
    readonly denied: number
    readonly revoked: number
  }
}
