/** One type of a stream: `Delivery`. */
interface Counted {
  readonly busy: boolean
  readonly refusals: readonly unknown[]
  readonly subscription: { readonly wildcard: boolean; readonly names: { readonly size: number } }
  readonly held: { readonly size: number; readonly nulls: number }
}

/** What is under way, or refused, has no shape. */
export const unsettled = -1

/**
 * Tells whether anything but revisions is different in the status of a stream since it last had answered everything:
 * most changes leave it as it was as soon as they are ACKed. Costs the types of the stream, and allocates nothing.
 */
export class StreamShape {
  readonly #counts: number[] = []
  #shape = 0
  #last = unsettled

  /** What `read` last returned. */
  get last(): number {
    return this.#last
  }

  /** The same number as long as it is the same; `unsettled` meanwhile. */
  read(deliveries: readonly Counted[]): number {
    this.#last = this.#read(deliveries)
    return this.#last
  }

  #read(deliveries: readonly Counted[]): number {
    // Counts are only compared between moments in which all is settled.
    for (const { busy, refusals } of deliveries) if (busy || refusals.length > 0) return unsettled
    let changed = this.#counts.length !== deliveries.length * 4
    let at = 0
    for (const { subscription, held } of deliveries) {
      changed = this.#put(at, subscription.wildcard ? 1 : 0) || changed
      changed = this.#put(at + 1, subscription.names.size) || changed
      changed = this.#put(at + 2, held.size) || changed
      changed = this.#put(at + 3, held.nulls) || changed
      at += 4
    }
    this.#counts.length = at
    if (changed) this.#shape += 1
    return this.#shape
  }

  #put(at: number, count: number): boolean {
    if (this.#counts[at] === count) return false
    this.#counts[at] = count
    return true
  }
}
