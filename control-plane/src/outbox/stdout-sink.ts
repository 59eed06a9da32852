import type { Writable } from 'node:stream'
import type { EncodedEvent } from './cloud-event.ts'
import { sinkLimits } from './sink-limits.ts'
import type { Sink } from './sink.ts'

export interface StdoutSinkOptions {
  readonly name: string
  readonly stream: Writable
}

/**
 * Writes one line of JSON an event to a stream, and waits until the stream has passed it on. What reads the
 * stream has to keep it: there is no other acknowledgement.
 */
export class StdoutSink implements Sink {
  readonly name: string
  readonly kind = 'stdout'
  readonly maxBatch = sinkLimits.stdout.maxBatch
  readonly maxBatchBytes = sinkLimits.stdout.maxBatchBytes
  readonly #stream: Writable

  constructor(options: StdoutSinkOptions) {
    this.name = options.name
    this.#stream = options.stream
  }

  async deliver(events: readonly EncodedEvent[], signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    if (events.length === 0) return
    const lines = events.map(({ json }) => `${json}\n`).join('')
    await new Promise<void>((resolve, reject) => {
      const aborted = (): void => {
        reject(new Error('stopped while the stream was blocked'))
      }
      signal.addEventListener('abort', aborted, { once: true })
      this.#stream.write(lines, error => {
        signal.removeEventListener('abort', aborted)
        if (error) reject(error)
        else resolve()
      })
    })
  }

  /** The stream is not ours to end. */
  close(): Promise<void> {
    return Promise.resolve()
  }
}
