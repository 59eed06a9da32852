/** What the exchange of ACKs between replicas is built from, and what it tells. */
import type { Revision } from '../domain/revision.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Logger } from '../runtime/logger.ts'
import type { RevisionReport } from '../xds/acks/revision-watch.ts'
import type { FollowedRevision } from '../xds/acks/revision-watches.ts'

/** The streams of this replica: xds/xds-server.ts. */
export interface RevisionStreams {
  follow(revision: Revision, onChange: () => void): FollowedRevision
}

/** What another replica has said. `complete`: nothing of it will change any more. */
export interface SaidReport {
  readonly report: RevisionReport
  readonly complete: boolean
}

/** Where replicas meet: store/ack-table.ts explains each call. */
export interface AckStore {
  want(revision: Revision, ms: number): Promise<void>
  wanted(): Promise<readonly { readonly revision: Revision; readonly leftMs: number }[]>
  report(
    entries: readonly (SaidReport & { readonly revision: Revision; readonly keepMs: number })[],
  ): Promise<void>
  reports(revision: Revision): Promise<readonly (SaidReport & { readonly replica: string })[]>
  listen(onHint: (hint: 'wanted' | 'reported') => void, signal: AbortSignal): Promise<void>
}

export interface AckExchangeOptions {
  readonly streams: RevisionStreams
  readonly store: AckStore
  readonly replica: string
  /** The replicas that run, this one among them or not. */
  readonly members: () => readonly string[]
  readonly clock: Clock
  readonly logger: Logger
  readonly random: () => number
  /** Requests that may wait at once. */
  readonly maxWaits?: number
}

/** What one replica has said; `report` is null while it has said nothing. */
export interface ReplicaAnswer {
  readonly replica: string
  readonly report: RevisionReport | null
}

export interface RevisionAnswers {
  readonly revision: Revision
  /** Every replica that runs has answered, and nobody is pending. */
  readonly complete: boolean
  /** This replica's first. */
  readonly answers: readonly ReplicaAnswer[]
}

export interface CollectOptions {
  readonly revision: Revision
  readonly timeoutMs: number
  /** `acked`: until nobody is pending. `heard`: until every replica has said something. */
  readonly until: 'acked' | 'heard'
  /** Ends the wait early. */
  readonly gone: AbortSignal
}
