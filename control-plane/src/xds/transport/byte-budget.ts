import type { Clock, Timer } from '../../runtime/clock.ts'

/** Who has bytes of a budget, or waits for some. */
export interface BudgetHolder {
  /** There is room again: it may ask once more. */
  resume(): void
  /** It has held bytes for too long while others waited: it must leave. */
  evict(): void
}

interface Held {
  bytes: number
  /** When it last gave some back, or took the first; on the monotonic clock. */
  since: number
}

/**
 * Bytes that many streams share. Who asks when they are used up waits, first in, first out. While somebody waits, whoever has
 * held bytes for the time of patience and given nothing back is evicted, the longest first: so those who stand
 * still cannot keep out those who go on.
 */
export class ByteBudget {
  readonly #clock: Pick<Clock, 'monotonic' | 'timer'>
  readonly #maxBytes: number
  readonly #patienceMs: number
  /** The one that has stood still for the longest is first. */
  readonly #holders = new Map<BudgetHolder, Held>()
  readonly #waiting = new Set<BudgetHolder>()
  #used = 0
  #timer: Timer | undefined

  constructor(options: {
    readonly clock: Pick<Clock, 'monotonic' | 'timer'>
    readonly maxBytes: number
    readonly patienceMs: number
  }) {
    this.#clock = options.clock
    this.#maxBytes = options.maxBytes
    this.#patienceMs = options.patienceMs
  }

  get used(): number {
    return this.#used
  }

  /** Those that wait for room. */
  get waiting(): number {
    return this.#waiting.size
  }

  /** Whether it may take bytes; if not, it waits until it is resumed. */
  ask(holder: BudgetHolder): boolean {
    if (this.#used < this.#maxBytes) return true
    this.#waiting.add(holder)
    this.#watch()
    return false
  }

  /** Never refused, so that the budget is exceeded by what one holder takes at most if it asks before. */
  take(holder: BudgetHolder, bytes: number): void {
    this.#used += bytes
    const held = this.#holders.get(holder)
    if (held !== undefined) held.bytes += bytes
    else this.#holders.set(holder, { bytes, since: this.#clock.monotonic() })
  }

  give(holder: BudgetHolder, bytes: number): void {
    const held = this.#holders.get(holder)
    if (held === undefined) return
    const given = Math.min(bytes, held.bytes)
    this.#used -= given
    this.#holders.delete(holder)
    if (held.bytes > given) {
      this.#holders.set(holder, { bytes: held.bytes - given, since: this.#clock.monotonic() })
    }
    this.#resume()
  }

  /** Gives back all it has, and waits no more. */
  leave(holder: BudgetHolder): void {
    this.#waiting.delete(holder)
    this.give(holder, Infinity)
  }

  #resume(): void {
    for (const holder of this.#waiting) {
      if (this.#used >= this.#maxBytes) return
      this.#waiting.delete(holder)
      holder.resume()
    }
  }

  #watch(): void {
    if (this.#timer !== undefined || this.#waiting.size === 0) return
    const now = this.#clock.monotonic()
    const [oldest] = this.#holders.values()
    const wait = Math.max(1, (oldest?.since ?? now) + this.#patienceMs - now)
    this.#timer = this.#clock.timer(wait, () => {
      this.#timer = undefined
      this.#evict()
      this.#watch()
    })
  }

  #evict(): void {
    const until = this.#clock.monotonic() - this.#patienceMs
    for (const [holder, { since }] of this.#holders) {
      if (this.#waiting.size === 0 || since > until) return
      this.leave(holder)
      holder.evict()
    }
  }
}
