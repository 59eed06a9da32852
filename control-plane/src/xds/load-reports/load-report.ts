/** What Envoy says about its upstream traffic in one load report, and what is kept of it (LRS, `load_report.proto`). */
import type { XdsNode } from '../port.ts'

/** Requests; all but `inProgress` count what happened since the report before. */
export interface LoadCounts {
  /** Sent upstream, each retry for itself. Not those whose connection failed. */
  readonly issued: number
  /** Answered below 500. */
  readonly succeeded: number
  /** 5xx, reset, timeout, or failed connection: so it may exceed `issued`. */
  readonly failed: number
  /** Under way when the report was made. */
  readonly inProgress: number
}

/** ORCA metric: the sum of what that many requests reported. */
export interface LoadMetric {
  readonly count: number
  readonly sum: number
}

export interface EndpointReport extends LoadCounts {
  /** `10.0.0.7:8080`, `[fd00::7]:8080`, or the path of a pipe: all that Envoy says about who it is. */
  readonly address: string
  readonly metrics: ReadonlyMap<string, LoadMetric>
}

/** One cluster of a report. */
export interface ClusterReport extends LoadCounts {
  readonly cluster: string
  /** What the counts cover. */
  readonly intervalMs: number
  /** Dropped by the load balancer before they were sent. */
  readonly dropped: number
  /** Empty from a client that reports by locality only (gRPC). */
  readonly endpoints: readonly EndpointReport[]
}

export interface LoadReport {
  /** Clusters with traffic, each once. */
  readonly clusters: readonly ClusterReport[]
  /** Numbers left out because no counter can be that. */
  readonly absurd: number
}

/** Who reports; of the node only what tells reporters apart. */
export type LoadReporter = Pick<XdsNode, 'id' | 'cluster' | 'locality'>

export const noCounts: LoadCounts = { issued: 0, succeeded: 0, failed: 0, inProgress: 0 }

const capped = (sum: number): number => Math.min(sum, Number.MAX_SAFE_INTEGER)

/** Counters add up to 2^53 - 1 and stay there. */
export const addCounts = (a: LoadCounts, b: LoadCounts): LoadCounts => ({
  issued: capped(a.issued + b.issued),
  succeeded: capped(a.succeeded + b.succeeded),
  failed: capped(a.failed + b.failed),
  inProgress: capped(a.inProgress + b.inProgress),
})

export const hasCounts = ({ issued, succeeded, failed, inProgress }: LoadCounts): boolean =>
  issued > 0 || succeeded > 0 || failed > 0 || inProgress > 0
