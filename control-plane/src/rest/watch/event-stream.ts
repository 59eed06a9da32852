/** Server-sent events (HTML Living Standard, section 9.2), written by hand: four lines are no library's worth. */
import type { ServerResponse } from 'node:http'
import type { Revision } from '../../domain/revision.ts'
import type { Clock } from '../../runtime/clock.ts'

/** One event; `data` is JSON and so holds no line break. */
export const eventBytes = (event: string, id: Revision, data: string): Buffer =>
  Buffer.from(`id: ${id}\nevent: ${event}\ndata: ${data}\n\n`)

/**
 * A comment that shows that the stream lives. Its `id` moves the reader's Last-Event-ID on without an event, so
 * that a watcher of a quiet service does not resume from a revision that retention has removed.
 */
export const heartbeatBytes = (id: Revision): Buffer => Buffer.from(`: alive\nid: ${id}\n\n`)

/** A response as a stream of events, with the one thing that matters about it: whether its reader keeps up. */
export class EventStream {
  readonly #response: ServerResponse
  readonly #clock: Clock

  constructor(response: ServerResponse, clock: Clock) {
    this.#response = response
    this.#clock = clock
  }

  get ended(): boolean {
    return this.#response.closed || this.#response.writableEnded
  }

  /** False when the socket is full: the caller waits for `drained` before it writes on. */
  write(bytes: Buffer): boolean {
    return this.ended || this.#response.write(bytes)
  }

  /** True once the socket has room again; false when that takes longer than `ms`, or the stream has ended. */
  async drained(ms: number): Promise<boolean> {
    if (this.ended) return false
    if (!this.#response.writableNeedDrain) return true
    const { promise, resolve } = Promise.withResolvers<boolean>()
    const onDrain = () => {
      resolve(true)
    }
    const onClose = () => {
      resolve(false)
    }
    this.#response.once('drain', onDrain)
    this.#response.once('close', onClose)
    const timer = this.#clock.timer(ms, onClose)
    try {
      return await promise
    } finally {
      timer.cancel()
      this.#response.off('drain', onDrain)
      this.#response.off('close', onClose)
    }
  }

  end(): void {
    if (!this.ended) this.#response.end()
  }

  /** For a reader that does not read: what is buffered is thrown away. */
  destroy(): void {
    this.#response.destroy()
  }
}
