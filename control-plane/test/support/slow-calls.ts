import type { Clock } from '../../src/runtime/clock.ts'

/** Calls to something far away: each takes its time, for the way there and for the way back. */
export class SlowCalls {
  readonly #clock: Clock
  readonly #latencies: readonly number[]
  #calls = 0

  /** `latencies`: of one way each, taken in turn (ms). */
  constructor(clock: Clock, latencies: readonly number[]) {
    this.#clock = clock
    this.#latencies = latencies
  }

  async make<T>(call: () => T | Promise<T>): Promise<T> {
    await this.way()
    const result = await call()
    await this.way()
    return result
  }

  /** One way. */
  way(): Promise<void> {
    this.#calls += 1
    return this.#clock.sleep(this.#latencies[this.#calls % this.#latencies.length] ?? 0)
  }
}
