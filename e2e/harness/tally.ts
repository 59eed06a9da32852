import { createHistogram } from 'node:perf_hooks'

/** What was seen of a failed request. */
export interface Failure {
  /** A code such as ECONNRESET or `timeout`; null where there was an answer. */
  readonly error: string | null
  readonly status: number | null
  /** The beginning of the answer's body. */
  readonly body: string
}

export interface FailureSample extends Failure {
  /** Milliseconds since the counting began, when it failed. */
  readonly atMs: number
}

export interface LoadReport {
  readonly sent: number
  readonly ok: number
  readonly failed: number
  readonly byStatus: Readonly<Record<string, number>>
  readonly byError: Readonly<Record<string, number>>
  /** Successful answers by the instance that gave them. */
  readonly byInstance: Readonly<Record<string, number>>
  /** The first failures. */
  readonly failures: readonly FailureSample[]
  readonly latencyMs: {
    readonly p50: number
    readonly p90: number
    readonly p99: number
    readonly max: number
  }
  readonly seconds: number
}

const samples = 20

const increment = (counts: Map<string, number>, key: string): void => {
  counts.set(key, (counts.get(key) ?? 0) + 1)
}

/** Counts requests; bounded in memory whatever their number. */
export class Tally {
  readonly #began = performance.now()
  readonly #byStatus = new Map<string, number>()
  readonly #byError = new Map<string, number>()
  readonly #byInstance = new Map<string, number>()
  readonly #failures: FailureSample[] = []
  readonly #latency = createHistogram({ figures: 3 })
  #ok = 0
  #failed = 0

  answer(status: number, instance: string, ms: number): void {
    this.#ok += 1
    increment(this.#byStatus, String(status))
    increment(this.#byInstance, instance)
    this.#record(ms)
  }

  fail(failure: Failure, ms: number): void {
    this.#failed += 1
    if (failure.status !== null) increment(this.#byStatus, String(failure.status))
    if (failure.error !== null) increment(this.#byError, failure.error)
    if (this.#failures.length < samples)
      this.#failures.push({
        ...failure,
        body: failure.body.slice(0, 200),
        atMs: Math.round(performance.now() - this.#began),
      })
    this.#record(ms)
  }

  report(): LoadReport {
    const at = (percentile: number): number => this.#latency.percentile(percentile) / 1_000
    return {
      sent: this.#ok + this.#failed,
      ok: this.#ok,
      failed: this.#failed,
      byStatus: Object.fromEntries(this.#byStatus),
      byError: Object.fromEntries(this.#byError),
      byInstance: Object.fromEntries(this.#byInstance),
      failures: [...this.#failures],
      latencyMs: { p50: at(50), p90: at(90), p99: at(99), max: this.#latency.max / 1_000 },
      seconds: (performance.now() - this.#began) / 1_000,
    }
  }

  #record(ms: number): void {
    this.#latency.record(Math.max(1, Math.round(ms * 1_000)))
  }
}
