/** One type of a stream: `Delivery`. */
interface Edited {
  readonly busy: boolean
  readonly refusals: { readonly length: number }
  readonly edits: number
}

/** What is under way, or refused, has no shape. */
export const unsettled = -1

/**
 * Tells whether anything but revisions may be different in the status of a stream since it last had answered everything:
 * most changes leave it as it was as soon as they are ACKed. Costs the types of the stream, and allocates nothing.
 */
export class StreamShape {
  #last = unsettled

  /** What `read` last returned. */
  get last(): number {
    return this.#last
  }

  /** The same number as long as it is the same; `unsettled` meanwhile. A stream has more types in time, never fewer. */
  read(deliveries: readonly Edited[]): number {
    let edits = 0
    for (const delivery of deliveries) {
      if (delivery.busy || delivery.refusals.length > 0) return (this.#last = unsettled)
      edits += delivery.edits
    }
    return (this.#last = edits)
  }
}
