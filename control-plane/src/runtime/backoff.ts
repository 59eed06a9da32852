export interface BackoffOptions {
  readonly baseMs: number
  readonly maxMs: number
  /** 0 to 1, exclusive; decides the jitter. */
  readonly random: () => number
}

/** Exponential backoff with full jitter: the n-th delay is drawn from 0 to min(max, base * 2^n). */
export class Backoff {
  readonly #options: BackoffOptions
  #attempt = 0

  constructor(options: BackoffOptions) {
    this.#options = options
  }

  /** Milliseconds to wait before the next attempt; at least 1. */
  next(): number {
    const { baseMs, maxMs, random } = this.#options
    const ceiling = Math.min(maxMs, baseMs * 2 ** Math.min(this.#attempt, 30))
    this.#attempt += 1
    return Math.max(1, Math.round(random() * ceiling))
  }

  reset(): void {
    this.#attempt = 0
  }
}
