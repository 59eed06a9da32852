import type { Clock } from '../../runtime/clock.ts'
import type { Announcement } from './announcement.ts'
import type { Subscriber } from './subscriber.ts'
import type { Announcer } from './subscribers.ts'

export interface Flushable {
  flush(): void
}

/** Streams flushed in one turn of the event loop. */
const sliceSize = 64
/** Names that may be announced at the same time; each is looked at for every stream that is flushed meanwhile. */
const maxAnnouncements = 16

/**
 * Flushes the streams that a revision touched. A change that touches few leaves in the same turn; a big one goes
 * out in slices that yield to the event loop, so that a small one after it does not wait for it. Where a name has many
 * subscribers these are told slice by slice too, so that the first have the change before the last are told. There is
 * no debounce: while streams wait here their changes merge.
 */
export class FanOut<Stream extends Flushable = Flushable> implements Announcer {
  readonly #clock: Clock
  readonly #touched = new Set<Stream>()
  /** First in, first out, each stream once. */
  readonly #queue = new Set<Stream>()
  /** In order of their revisions. */
  readonly #announcements: Announcement[] = []
  #lastAnnouncement = 0
  /** Something has been announced in the revision that is being applied. */
  #announced = false
  #scheduled = false

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Streams that wait for their turn. */
  get size(): number {
    return this.#announcements.reduce((sum, { size }) => sum + size, this.#queue.size)
  }

  /** Some streams have not been told of a change yet. */
  get announcing(): boolean {
    return this.#announcements.length > 0
  }

  /** The number of the last announcement; 0: there has been none. */
  get lastAnnouncement(): number {
    return this.#lastAnnouncement
  }

  get takesMore(): boolean {
    return this.#announcements.length < maxAnnouncements
  }

  announce(announcement: Announcement): void {
    this.#announced = true
    this.#lastAnnouncement += 1
    this.#announcements.push(announcement)
  }

  /** Tells a subscriber what it has not been told yet. To be called before anything looks at its stream. */
  catchUp(subscriber: Subscriber): void {
    for (const announcement of this.#announcements) announcement.catchUp(subscriber)
  }

  /** Tells all of them. */
  settle(): void {
    for (const announcement of this.#announcements.splice(0)) announcement.next(Infinity)
    if (this.#queue.size > 0) this.#schedule()
  }

  /** Something of this stream changed in the revision that is being applied. */
  touch(stream: Stream): void {
    this.#touched.add(stream)
  }

  /** Something of this stream changed in a revision that has been announced. */
  queue(stream: Stream): void {
    this.#queue.add(stream)
  }

  /** The stream writes all there is now. */
  flushed(stream: Stream): void {
    this.#queue.delete(stream)
  }

  /** All sets have told of the revision. */
  release(): void {
    const announced = this.#announced
    this.#announced = false
    if (announced || this.#touched.size > sliceSize) {
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
    this.settle()
    yield* this.#touched
    yield* this.#queue
  }

  forget(stream: Stream): void {
    this.#touched.delete(stream)
    this.#queue.delete(stream)
  }

  #slice(): void {
    this.#tell(sliceSize - this.#queue.size)
    let left = sliceSize
    for (const stream of this.#queue) {
      if (left === 0) break
      left -= 1
      this.#queue.delete(stream)
      stream.flush()
    }
    this.#scheduled = false
    if (this.#queue.size > 0 || this.announcing) this.#schedule()
  }

  /** Tells so many subscribers, those of the oldest announcement first. */
  #tell(count: number): void {
    let left = count
    for (
      let oldest = this.#announcements[0];
      oldest !== undefined && left > 0;
      oldest = this.#announcements[0]
    ) {
      const before = oldest.size
      oldest.next(left)
      left -= before - oldest.size
      if (oldest.size === 0) this.#announcements.shift()
    }
  }

  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    this.#clock.soon(() => {
      this.#slice()
    })
  }
}
