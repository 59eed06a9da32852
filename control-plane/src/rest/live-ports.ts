/** What REST reads of the clients that are connected to this replica, and of the other replicas. Wired in `app.ts`. */
import type { ClusterLoad, ReporterLoad } from '../xds/load-reports/reporter.ts'
import type { ClientView } from '../xds/status/held-resources.ts'
import type { ReplicaReport } from './ports.ts'

export interface ClientReader {
  /** The newest stream of this node; undefined: it has none here. */
  client(node: string): ClientView | undefined
}

export interface LoadReader {
  /** What this node has reported here. */
  reporter(node: string): ReporterLoad | undefined
  /** Clusters that somebody has reported about here. */
  clusters(): Iterable<string>
  ofCluster(cluster: string): Iterable<ClusterLoad>
}

/** The replicas that run, this one among them; empty while nobody knows. */
export type ReplicaReader = () => readonly ReplicaReport[]
