/** What REST needs besides the registry and the mesh state. Implemented by health, store and xds; wired in `app.ts`. */
import type { ChangeSet, FormerState } from '../domain/change.ts'
import type { EvidenceSource, EvidenceStatus } from '../domain/evidence.ts'
import type { MeshScope } from '../domain/mesh-scope.ts'
import type { ModeState } from '../domain/mode.ts'
import type { Revision } from '../domain/revision.ts'
import type { CollectOptions, RevisionAnswers } from '../resources/ack-ports.ts'
import type { ResourceStatus, StreamStatus } from '../xds/status/status.ts'

export interface Beat {
  readonly service: string
  readonly id: string
  /** The registration that is meant; null: whatever is there. */
  readonly incarnation: number | null
  /** The instance's own words about itself; null: nothing said. */
  readonly report: { readonly status: EvidenceStatus; readonly output: string } | null
}

export interface HeartbeatPort {
  /**
   * Resolves when the beat counts. Rejects with WaymarkError `instance_not_found`, `incarnation_conflict`,
   * `database_unavailable` or `overloaded`.
   */
  beat(beat: Beat): Promise<void>
}

export interface ChangeReader {
  /**
   * Whole revisions after `after`, in order, at most `limit` of them, and the head of the log at that moment.
   * Rejects with CompactedError when retention has removed `after + 1`, with WaymarkError `database_unavailable`.
   */
  readChanges(range: { readonly after: Revision; readonly limit: number }): Promise<{
    readonly sets: readonly ChangeSet[]
    readonly head: Revision
  }>
}

/** What the log says of the past: store/past-log.ts. Rejects with WaymarkError `database_unavailable`. */
export interface PastReader {
  /** What the log reaches from and to. */
  bounds(): Promise<{ readonly oldest: Revision; readonly head: Revision }>
  /** The last revision at a moment (ISO 8601). Rejects with CompactedError, or `invalid_request` for the future. */
  revisionAt(time: string): Promise<Revision>
  /**
   * What the aggregates in the scope that changed after `after`, up to and including `upTo`, were before; of `limit`
   * of them at most. Rejects with CompactedError.
   */
  formerStates(range: {
    readonly after: Revision
    readonly upTo: Revision
    readonly scope: MeshScope
    readonly limit: number
  }): Promise<readonly FormerState[]>
}

/** When an instance's evidence was last confirmed; the log keeps only changes of status. ISO 8601, Postgres time. */
export interface Pulse {
  readonly leaseSeenAt: string | null
  readonly observations: readonly {
    readonly source: EvidenceSource
    readonly observer: string
    readonly status: EvidenceStatus
    readonly observedAt: string
  }[]
}

export interface PulseReader {
  readPulse(service: string, id: string): Promise<Pulse>
}

/** One sidecar, as the replica that serves it last wrote it down. */
export interface SidecarEntry {
  /** `{service}/{instance}` */
  readonly node: string
  readonly replica: string
  /** ISO 8601, Postgres time. */
  readonly seenAt: string
  readonly status: StreamStatus
  /** When its last stream ended, ISO 8601; null: it is connected. */
  readonly endedAt: string | null
  /** Its replica no longer runs, or has long not confirmed it. */
  readonly lost: boolean
  /** Other clients that call themselves the same and are alive; times in milliseconds since the epoch. */
  readonly rivals: readonly {
    readonly replica: string
    readonly address: string
    readonly connectedAt: number
  }[]
}

export interface SidecarListing {
  /** In no particular order; those that left are remembered for some minutes. */
  readonly entries: readonly SidecarEntry[]
  /** Replicas of whose sidecars nothing can be told, because the database cannot be asked. */
  readonly missing: readonly string[]
}

export interface SidecarReader {
  /** Of one service, or all. Never rejects. */
  list(filter: { readonly service?: string }): Promise<SidecarListing>
  /**
   * `resources` is null when another replica serves the sidecar. Rejects with WaymarkError `database_unavailable`
   * when this replica does not serve it and nobody can say who does.
   */
  get(
    node: string,
  ): Promise<
    { readonly entry: SidecarEntry; readonly resources: readonly ResourceStatus[] | null } | undefined
  >
}

/** Waits for what sidecars say of a revision: resources/ack-exchange.ts. */
export interface RevisionAcks {
  /** Takes a place; the call returned gives it back. Throws WaymarkError `overloaded`. */
  reserve(): () => void
  /** Never rejects; needs a place. */
  collect(options: CollectOptions): Promise<RevisionAnswers>
}

export interface ReplicaReport {
  readonly id: string
  readonly startedAt: string
  readonly seenAt: string
  /** Where its REST and xDS listeners are: `host:port`. */
  readonly http: string
  readonly xds: string
}

export interface SinkReport {
  readonly sink: string
  /** Everything up to this revision has been delivered or parked. */
  readonly revision: Revision
  /** Revisions of the log that wait for this sink. */
  readonly lag: number
  /** How long the oldest of them has (ms). */
  readonly lagMs: number
  readonly paused: object | null
  /** The log no longer has what comes next. */
  readonly compacted: boolean
  /** No replica has it in its configuration any more. */
  readonly orphaned: boolean
  /** Events set aside after their last attempt. */
  readonly parked: number
  /** Why the last delivery failed; null: it did not. */
  readonly error: string | null
}

export interface SelfPreservationReport {
  /** True while expiry is paused because too many leases would expire at once. */
  readonly active: boolean
  readonly since: string | null
  /** Instances with a lease, and how many of them were due in the last sweep window. */
  readonly leased: number
  readonly due: number
}

export interface StatusReport {
  readonly replica: string
  readonly startedAt: string
  /** What this replica's mesh state has applied. */
  readonly revision: Revision
  /** The head of the log; null while the database cannot be asked. */
  readonly head: Revision | null
  readonly modes: readonly ModeState[]
  /** xDS streams of this replica. */
  readonly streams: number
  /** What is read from the database is null while it cannot be asked. */
  readonly replicas: readonly ReplicaReport[] | null
  readonly sinks: readonly SinkReport[] | null
  /** null: no sweep has been seen yet. */
  readonly selfPreservation: SelfPreservationReport | null
}

export interface StatusReader {
  /** Answers also without a database and before the mesh state has loaded; never rejects for either. */
  status(): Promise<StatusReport>
}
