/** Server-sent events (HTML Living Standard, section 9.2), written by hand: four lines are no library's worth. */
import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Revision } from '../../domain/revision.ts'
import type { Clock } from '../../runtime/clock.ts'
import { cachingHeader, hardening, noCaching, revisionHeader } from '../exchange.ts'

/** One event; `data` is JSON and so holds no line break. */
export const eventBytes = (event: string, id: Revision, data: string): Buffer =>
  Buffer.from(`id: ${id}\nevent: ${event}\ndata: ${data}\n\n`)

/**
 * A comment that shows that the stream lives. Its `id` moves the reader's Last-Event-ID on without an event, so
 * that a watcher of a quiet service does not resume from a revision that retention has removed.
 */
export const heartbeatBytes = (id: Revision): Buffer => Buffer.from(`: alive\nid: ${id}\n\n`)

/**
 * A response as a stream of events, with the one thing that matters about it: whether its reader keeps up. Its end is
 * the connection's (RFC 9112, section 6.3), so that an event is the same bytes for everybody, and goes to the
 * socket as it is. What breaks off in the middle of an event is no event to a reader.
 */
export class EventStream {
  readonly #response: ServerResponse
  readonly #clock: Clock

  /** Sends the head. */
  constructor(
    response: ServerResponse,
    {
      clock,
      revision,
      after,
    }: {
      readonly clock: Clock
      readonly revision: Revision
      /** Its events come after this revision. */
      readonly after: Revision
    },
  ) {
    this.#response = response
    this.#clock = clock
    // Neither a length nor chunks.
    response.removeHeader('transfer-encoding')
    response.writeHead(200, {
      'content-type': 'text/event-stream; charset=utf-8',
      [cachingHeader]: noCaching,
      // Nothing comes after the stream, and a closing listener must not wait for the connection.
      connection: 'close',
      'x-accel-buffering': 'no',
      ...hardening,
      [revisionHeader]: revision,
    })
    // Who loses the connection before the first event resumes here, too.
    response.write(`retry: 1000\nid: ${after}\n\n`)
  }

  get ended(): boolean {
    return this.#response.closed || this.#response.writableEnded
  }

  /** False when the socket is full: the caller waits for `drained` before it writes on. */
  write(bytes: Buffer): boolean {
    return this.ended || this.#sink.write(bytes)
  }

  /** A response has no socket while one of the same connection, to an earlier request, has not ended. */
  get #sink(): Socket | ServerResponse {
    return this.#response.socket ?? this.#response
  }

  /** True once the socket has room again; false when that takes longer than `ms`, or the stream has ended. */
  async drained(ms: number): Promise<boolean> {
    if (this.ended) return false
    const sink = this.#sink
    if (!sink.writableNeedDrain) return true
    const { promise, resolve } = Promise.withResolvers<boolean>()
    const onDrain = () => {
      resolve(true)
    }
    const onClose = () => {
      resolve(false)
    }
    sink.once('drain', onDrain)
    this.#response.once('close', onClose)
    const timer = this.#clock.timer(ms, onClose)
    try {
      return await promise
    } finally {
      timer.cancel()
      sink.off('drain', onDrain)
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

/** What its writers need of it. */
export type EventWriter = Pick<EventStream, 'ended' | 'write' | 'drained' | 'end' | 'destroy'>
