/** The largest value of the recent past: of at least one half of the window and at most the whole. Constant space. */
export class RecentMax {
  readonly #halfMs: number
  /** Which half of a window it is, counted from the clock's start. */
  #half = 0
  #current = 0
  #before = 0

  constructor(options: { readonly windowMs: number }) {
    this.#halfMs = options.windowMs / 2
  }

  /** `now`: monotonic ms, never less than in an earlier call. */
  record(value: number, now: number): void {
    this.#turn(now)
    this.#current = Math.max(this.#current, value)
  }

  /** 0: nothing was recorded. */
  at(now: number): number {
    this.#turn(now)
    return Math.max(this.#current, this.#before)
  }

  #turn(now: number): void {
    const half = Math.floor(now / this.#halfMs)
    if (half === this.#half) return
    this.#before = half === this.#half + 1 ? this.#current : 0
    this.#current = 0
    this.#half = half
  }
}
