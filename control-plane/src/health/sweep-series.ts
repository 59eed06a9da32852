export interface SweepSeriesOptions {
  /** A longer time between two sweeps ends the series. */
  readonly maxGapMs: number
  /** How long an expiry counts towards self-preservation. */
  readonly windowMs: number
}

/**
 * What one owner knows of its unbroken series of successful sweeps: since when heartbeats have been taken without
 * interruption, and how many leases it has expired within the last window. Times are Postgres's, milliseconds
 * since the epoch.
 */
export class SweepSeries {
  readonly #options: SweepSeriesOptions
  #serviceSince: number | null = null
  #lastSweep = 0
  #expiries: { readonly at: number; readonly count: number }[] = []

  constructor(options: SweepSeriesOptions) {
    this.#options = options
  }

  /** Only after the first sweep. */
  get serviceSince(): number {
    return this.#serviceSince ?? this.#lastSweep
  }

  get recentlyExpired(): number {
    return this.#expiries.reduce((sum, { count }) => sum + count, 0)
  }

  /** The next sweep begins a new series. */
  reset(): void {
    this.#serviceSince = null
    this.#expiries = []
  }

  /**
   * A sweep has read the database at `now`. True when it begins a new series: it is the first one, or beats may
   * have been lost since the last one because the gap is too long or the clock went back (a failover to another
   * machine).
   */
  continueAt(now: number): boolean {
    const begins =
      this.#serviceSince === null || now < this.#lastSweep || now - this.#lastSweep > this.#options.maxGapMs
    if (begins) this.#serviceSince = now
    this.#lastSweep = now
    this.#expiries = this.#expiries.filter(({ at }) => at <= now && now - at < this.#options.windowMs)
    return begins
  }

  expired(at: number, count: number): void {
    this.#expiries.push({ at, count })
  }
}
