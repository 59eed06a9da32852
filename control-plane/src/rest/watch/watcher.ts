import type { ChangeSet } from '../../domain/change.ts'
import type { Revision } from '../../domain/revision.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { RestLimits } from '../limits.ts'
import type { WatchFilter } from './change-filter.ts'
import type { Listener } from './channels.ts'
import { heartbeatBytes, type EventWriter } from './event-stream.ts'

interface WatcherOptions {
  readonly stream: EventWriter
  readonly filter: WatchFilter
  /** It has everything up to this revision. */
  readonly cursor: Revision
  /** Ends it: its reader has gone, or the listener closes. */
  readonly signal: AbortSignal
  readonly clock: Clock
  readonly limits: RestLimits
}

/**
 * One stream of events, in one of two modes. Behind: its loop (watch-hub.ts) reads for it and waits for its socket.
 * Up to date: it gets what comes from its channel, until its socket is full or the hub calls it back.
 */
export class Watcher implements Listener {
  readonly #options: WatcherOptions
  readonly #stream: EventWriter
  #cursor: Revision
  #writtenAt: number
  /** Ends the mode "up to date". */
  #leave: (() => void) | null = null

  constructor(options: WatcherOptions) {
    this.#options = options
    this.#stream = options.stream
    this.#cursor = options.cursor
    this.#writtenAt = options.clock.monotonic()
  }

  get filter(): WatchFilter {
    return this.#options.filter
  }

  get cursor(): Revision {
    return this.#cursor
  }

  isOver(): boolean {
    return this.#options.signal.aborted || this.#stream.ended
  }

  /** Nothing has been written for so long (ms). */
  get quietMs(): number {
    return this.#options.clock.monotonic() - this.#writtenAt
  }

  /** Everything up to this revision has been offered to it. */
  moveTo(revision: Revision): void {
    this.#cursor = Math.max(this.#cursor, revision)
  }

  deliver(bytes: Buffer, revision: Revision): void {
    this.#cursor = revision
    if (!this.#write(bytes)) this.recall()
  }

  /** Shows that the stream lives, and moves its Last-Event-ID on. */
  beat(): void {
    if (!this.#write(heartbeatBytes(this.#cursor))) this.recall()
  }

  /** Sends what it has missed. False: its reader does not keep up, and has been cut off. */
  async send(sets: readonly ChangeSet[], event: (set: ChangeSet) => Buffer | undefined): Promise<boolean> {
    for (const set of sets) {
      this.#cursor = set.revision
      const bytes = event(set)
      if (bytes === undefined) continue
      if (!this.#write(bytes) && !(await this.drained())) return false
      if (this.isOver()) return true
    }
    return true
  }

  /** Waits for room. False: there was none in time, and the stream has been cut off. */
  async drained(): Promise<boolean> {
    const { limits, signal } = this.#options
    if ((await this.#stream.drained(limits.watchStallMs)) || signal.aborted) return true
    this.#stream.destroy()
    return false
  }

  /** Up to date from now on; resolves when it is called back, or over. */
  async live(): Promise<void> {
    const { signal } = this.#options
    const { promise, resolve } = Promise.withResolvers<undefined>()
    this.#leave = () => {
      resolve(undefined)
    }
    signal.addEventListener('abort', this.#leave, { once: true })
    if (!this.isOver()) await promise
    signal.removeEventListener('abort', this.#leave)
    this.#leave = null
  }

  recall(): void {
    this.#leave?.()
  }

  #write(bytes: Buffer): boolean {
    this.#writtenAt = this.#options.clock.monotonic()
    return this.#stream.write(bytes)
  }
}
