/**
 * When the owner of a sink tries its parked events: at once in each epoch, because somebody may have asked for it, or
 * because nobody knows when another owner did; after that now and then. Outlives the sessions of its owner: one that
 * ended before their turn leaves it to the next, in the same epoch, too.
 */
export class ParkedTurns {
  #epoch: number | null = null
  #next = 0

  /** `now`: monotonic (ms). */
  due(epoch: number, now: number): boolean {
    return epoch !== this.#epoch || now >= this.#next
  }

  taken(epoch: number, next: number): void {
    this.#epoch = epoch
    this.#next = next
  }
}
