/** Counts values by size. Recording is a short search and two additions; it allocates nothing. */
export class Histogram {
  /** Upper ends of the buckets, each its own bucket's, ascending; what is larger than the last has a bucket, too. */
  readonly bounds: readonly number[]
  readonly #counts: Float64Array
  /** In an array, so that the sum does not become a new heap number with each record. */
  readonly #sum = new Float64Array(1)

  constructor(bounds: readonly number[]) {
    this.bounds = bounds
    this.#counts = new Float64Array(bounds.length + 1)
  }

  /** What is no number or below zero (a clock that was set back) counts as zero. */
  record(value: number): void {
    const counted = value > 0 ? value : 0
    let bucket = 0
    while (bucket < this.bounds.length && counted > (this.bounds[bucket] ?? Infinity)) bucket += 1
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1
    this.#sum[0] = (this.#sum[0] ?? 0) + counted
  }

  /** How many values are in each bucket alone. */
  get counts(): readonly number[] {
    return [...this.#counts]
  }

  get sum(): number {
    return this.#sum[0] ?? 0
  }
}
