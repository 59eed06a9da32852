import {
  addCounts,
  noCounts,
  type ClusterReport,
  type EndpointReport,
  type LoadCounts,
  type LoadMetric,
  type LoadReporter,
} from './load-report.ts'

/** What one reporter has said about one endpoint of one cluster. */
export interface EndpointLoad {
  readonly address: string
  /** Since the reporter came, or since it began to use the endpoint again. `inProgress` is that of `last`. */
  readonly total: LoadCounts
  /** Of the reporter's last report; zero when it did not mention the endpoint. */
  readonly last: LoadCounts
  /** ORCA metrics of the last report that had any, by name. */
  readonly metrics: ReadonlyMap<string, LoadMetric>
  /** Milliseconds since the epoch: the last report that mentioned it. */
  readonly at: number
}

/** What one reporter has said about one cluster. */
export interface ClusterLoad {
  readonly cluster: string
  readonly reporter: ReporterLoad
  readonly total: LoadCounts
  readonly dropped: number
  readonly at: number
  endpoints(): Iterable<EndpointLoad>
}

export interface ReporterLoad {
  readonly reporter: LoadReporter
  /** Milliseconds since the epoch. */
  readonly since: number
  /** The last report, and what it covers. */
  readonly at: number
  readonly intervalMs: number
  readonly reports: number
  clusters(): Iterable<ClusterLoad>
}

/** Entries: clusters, and endpoints of clusters. */
export interface Size {
  entries: number
}

/** One reporter's entry in the book. Its maps are in the order of the last report. */
export class Reporter implements ReporterLoad {
  reporter: LoadReporter
  readonly since: number
  at: number
  intervalMs = 0
  reports = 0
  readonly #clusters = new Map<string, ClusterEntry>()
  #size = 0

  constructor(reporter: LoadReporter, now: number) {
    this.reporter = reporter
    this.since = now
    this.at = now
  }

  get size(): number {
    return this.#size
  }

  clusters(): Iterable<ClusterEntry> {
    return this.#clusters.values()
  }

  begin(reporter: LoadReporter, now: number): void {
    this.reporter = reporter
    this.at = now
    this.reports += 1
  }

  /** `limit`: endpoints of the cluster that were not mentioned since are dropped. */
  add(report: ClusterReport, { now, limit, all }: { now: number; limit: number; all: Size }): ClusterEntry {
    const known = this.#clusters.get(report.cluster)
    const entry = known ?? new ClusterEntry(this, report.cluster)
    const before = known?.size ?? 0
    this.#clusters.delete(report.cluster)
    this.#clusters.set(report.cluster, entry)
    this.intervalMs = report.intervalMs
    entry.add(report, now)
    entry.forgetOld(limit)
    this.#resize(entry.size - before, all)
    return entry
  }

  /** Drops clusters that were last mentioned before `limit`; returns them. */
  forgetOld(limit: number, all: Size): ClusterEntry[] {
    const gone: ClusterEntry[] = []
    for (const entry of this.#clusters.values()) {
      if (entry.at >= limit) break
      this.#clusters.delete(entry.cluster)
      this.#resize(-entry.size, all)
      gone.push(entry)
    }
    return gone
  }

  /**
   * Drops the oldest endpoint of the cluster that was not mentioned for longest, or that cluster itself when it has
   * none: then returns it.
   */
  evict(all: Size): ClusterEntry | undefined {
    const [entry] = this.#clusters.values()
    if (entry === undefined) return undefined
    this.#resize(-1, all)
    if (entry.evict()) return undefined
    this.#clusters.delete(entry.cluster)
    return entry
  }

  #resize(by: number, all: Size): void {
    this.#size += by
    all.entries += by
  }
}

export class ClusterEntry implements ClusterLoad {
  readonly cluster: string
  readonly reporter: Reporter
  dropped = 0
  at = 0
  #sum: LoadCounts = noCounts
  #report = 0
  readonly #endpoints = new Map<string, EndpointEntry>()

  constructor(reporter: Reporter, cluster: string) {
    this.reporter = reporter
    this.cluster = cluster
  }

  /** Itself and its endpoints. */
  get size(): number {
    return 1 + this.#endpoints.size
  }

  get total(): LoadCounts {
    return this.#report === this.reporter.reports ? this.#sum : { ...this.#sum, inProgress: 0 }
  }

  endpoints(): Iterable<EndpointLoad> {
    return this.#endpoints.values()
  }

  add(report: ClusterReport, now: number): void {
    this.#sum = { ...addCounts(this.#sum, report), inProgress: report.inProgress }
    this.#report = this.reporter.reports
    this.dropped = Math.min(this.dropped + report.dropped, Number.MAX_SAFE_INTEGER)
    this.at = now
    for (const endpoint of report.endpoints) {
      const { address } = endpoint
      const entry = this.#endpoints.get(address) ?? new EndpointEntry(this.reporter, address)
      this.#endpoints.delete(address)
      this.#endpoints.set(address, entry)
      entry.add(endpoint, now)
    }
  }

  /** Drops endpoints that were last mentioned before `limit`. */
  forgetOld(limit: number): void {
    for (const entry of this.#endpoints.values()) {
      if (entry.at >= limit) break
      this.#endpoints.delete(entry.address)
    }
  }

  /** Drops the oldest endpoint; false: it has none. */
  evict(): boolean {
    const [oldest] = this.#endpoints.keys()
    return oldest !== undefined && this.#endpoints.delete(oldest)
  }
}

class EndpointEntry implements EndpointLoad {
  readonly address: string
  metrics: ReadonlyMap<string, LoadMetric> = new Map()
  at = 0
  readonly #reporter: Reporter
  #sum: LoadCounts = noCounts
  #window: LoadCounts = noCounts
  /** Which of its reporter's reports the window is of. */
  #report = 0

  constructor(reporter: Reporter, address: string) {
    this.#reporter = reporter
    this.address = address
  }

  get last(): LoadCounts {
    return this.#report === this.#reporter.reports ? this.#window : noCounts
  }

  get total(): LoadCounts {
    return { ...this.#sum, inProgress: this.last.inProgress }
  }

  /** An endpoint that a report has in two localities is the sum of both. */
  add(report: EndpointReport, now: number): void {
    this.#window = addCounts(this.last, report)
    this.#report = this.#reporter.reports
    this.#sum = addCounts(this.#sum, report)
    if (report.metrics.size > 0) this.metrics = report.metrics
    this.at = now
  }
}
