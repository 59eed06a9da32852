import type { Clock } from '../../runtime/clock.ts'
import type { LoadReport, LoadReporter } from './load-report.ts'
import { Reporter, type ClusterEntry, type ClusterLoad, type ReporterLoad, type Size } from './reporter.ts'

/** Told of every report right after it has been taken down, with its counts since the one before. */
export type ReportListener = (reporter: LoadReporter, report: LoadReport, at: number) => void

export interface LoadBookLimits {
  readonly maxReporters: number
  /** Entries (a cluster, an endpoint of a cluster) kept of one reporter, and of all of them together. */
  readonly maxEntriesOfReporter: number
  readonly maxEntries: number
  /** Reporters, clusters and endpoints that nothing was heard of for so long are forgotten. */
  readonly forgetMs: number
}

export const defaultLoadBookLimits: LoadBookLimits = {
  maxReporters: 20_000,
  maxEntriesOfReporter: 20_000,
  maxEntries: 1_000_000,
  forgetMs: 900_000,
}

/**
 * The load reports of all sidecars of this replica, added up per reporter, cluster and endpoint. Every map is in
 * the order of the last report, so that what goes first, by age or for want of room, is at its head.
 */
export class LoadBook {
  readonly #clock: Clock
  readonly #limits: LoadBookLimits
  readonly #reporters = new Map<string, Reporter>()
  /** Cluster to reporters, for who asks about a service. */
  readonly #byCluster = new Map<string, Map<string, ClusterEntry>>()
  readonly #listeners = new Set<ReportListener>()
  readonly #size: Size = { entries: 0 }
  /** Reporters and entries given up for want of room. */
  #evicted = 0

  constructor(options: { readonly clock: Clock; readonly limits?: Partial<LoadBookLimits> }) {
    this.#clock = options.clock
    this.#limits = { ...defaultLoadBookLimits, ...options.limits }
  }

  get size(): { readonly reporters: number; readonly entries: number; readonly evicted: number } {
    return { reporters: this.#reporters.size, entries: this.#size.entries, evicted: this.#evicted }
  }

  /** Returns the call that ends it. */
  onReport(listener: ReportListener): () => void {
    this.#listeners.add(listener)
    return () => {
      this.#listeners.delete(listener)
    }
  }

  /** Adds a report up. Streams of one node share its entry: each of their reports counts. */
  add(reporter: LoadReporter, report: LoadReport): void {
    const now = this.#clock.now()
    this.#forgetOld(now)
    const known = this.#reporters.get(reporter.id)
    const entry = known ?? new Reporter(reporter, now)
    // To the end: it is the youngest now.
    this.#reporters.delete(reporter.id)
    this.#reporters.set(reporter.id, entry)
    if (this.#reporters.size > this.#limits.maxReporters) this.#evictReporter()
    entry.begin(reporter, now)
    const limit = now - this.#limits.forgetMs
    for (const cluster of report.clusters) this.#index(entry.add(cluster, { now, limit, all: this.#size }))
    for (const gone of entry.forgetOld(limit, this.#size)) this.#unindex(gone)
    while (entry.size > this.#limits.maxEntriesOfReporter) {
      this.#evicted += 1
      const gone = entry.evict(this.#size)
      if (gone !== undefined) this.#unindex(gone)
    }
    while (this.#size.entries > this.#limits.maxEntries && this.#reporters.size > 1) this.#evictReporter()
    for (const listener of this.#listeners) listener(reporter, report, now)
  }

  reporter(node: string): ReporterLoad | undefined {
    this.#forgetOld(this.#clock.now())
    return this.#reporters.get(node)
  }

  /** Clusters that somebody has reported about. */
  clusters(): Iterable<string> {
    this.#forgetOld(this.#clock.now())
    return this.#byCluster.keys()
  }

  /** What each reporter has said about a cluster. */
  ofCluster(cluster: string): Iterable<ClusterLoad> {
    this.#forgetOld(this.#clock.now())
    return this.#byCluster.get(cluster)?.values() ?? []
  }

  #index(entry: ClusterEntry): void {
    const reporters = this.#byCluster.get(entry.cluster)
    if (reporters === undefined) {
      this.#byCluster.set(entry.cluster, new Map([[entry.reporter.reporter.id, entry]]))
    } else reporters.set(entry.reporter.reporter.id, entry)
  }

  #unindex({ cluster, reporter }: ClusterEntry): void {
    const reporters = this.#byCluster.get(cluster)
    reporters?.delete(reporter.reporter.id)
    if (reporters?.size === 0) this.#byCluster.delete(cluster)
  }

  #forgetOld(now: number): void {
    for (const entry of this.#reporters.values()) {
      if (now - entry.at < this.#limits.forgetMs) break
      this.#remove(entry)
    }
  }

  #evictReporter(): void {
    for (const entry of this.#reporters.values()) {
      this.#evicted += 1
      this.#remove(entry)
      break
    }
  }

  #remove(entry: Reporter): void {
    this.#reporters.delete(entry.reporter.id)
    this.#size.entries -= entry.size
    for (const cluster of entry.clusters()) this.#unindex(cluster)
  }
}
