import type { Clock } from '../../runtime/clock.ts'

export interface Flushable {
  flush(): void
}

/** Streams flushed in one turn of the event loop. */
const sliceSize = 64

/**
 * Flushes the streams that a revision touched. A change that touches few leaves in the same turn; a big one goes
 * out in slices that yield to the event loop, so that a small one after it does not wait for it. There is no
 * debounce: while streams wait here their changes merge.
 */
export class FanOut<Stream extends Flushable = Flushable> {
  readonly #clock: Clock
  readonly #touched = new Set<Stream>()
  /** First in, first out, each stream once. */
  readonly #queue = new Set<Stream>()
  #scheduled = false

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Streams that wait for their turn. */
  get size(): number {
    return this.#queue.size
  }

  /** Something of this stream changed in the revision that is being applied. */
  touch(stream: Stream): void {
    this.#touched.add(stream)
  }

  /** All sets have told of the revision. */
  release(): void {
    if (this.#touched.size > sliceSize) {
      for (const stream of this.#touched) this.#queue.add(stream)
      this.#touched.clear()
      if (!this.#scheduled) this.#slice()
      return
    }
    const streams = [...this.#touched]
    this.#touched.clear()
    for (const stream of streams) {
      this.#queue.delete(stream)
      stream.flush()
    }
  }

  /** Touched and not flushed since. */
  *waiting(): Iterable<Stream> {
    yield* this.#touched
    yield* this.#queue
  }

  forget(stream: Stream): void {
    this.#touched.delete(stream)
    this.#queue.delete(stream)
  }

  #slice(): void {
    let left = sliceSize
    for (const stream of this.#queue) {
      if (left === 0) break
      left -= 1
      this.#queue.delete(stream)
      stream.flush()
    }
    this.#scheduled = this.#queue.size > 0
    if (!this.#scheduled) return
    this.#clock.soon(() => {
      this.#slice()
    })
  }
}
