import type { EncodedEvent } from './cloud-event.ts'
import { toDeliveryError, type Sink } from './sink.ts'

export interface DeferredSinkOptions extends Pick<Sink, 'name' | 'kind' | 'maxBatch' | 'maxBatchBytes'> {
  /** Reads secrets, loads libraries, connects. */
  readonly open: () => Promise<Sink>
}

/**
 * A sink that is opened by its first delivery, and anew after a delivery that it could not take: with the secrets
 * of that moment, and without a connection of which nothing is known any more.
 */
export class DeferredSink implements Sink {
  readonly name: string
  readonly kind: Sink['kind']
  readonly maxBatch: number
  readonly maxBatchBytes: number
  readonly #open: () => Promise<Sink>
  #sink: Sink | null = null

  constructor({ name, kind, maxBatch, maxBatchBytes, open }: DeferredSinkOptions) {
    this.name = name
    this.kind = kind
    this.maxBatch = maxBatch
    this.maxBatchBytes = maxBatchBytes
    this.#open = open
  }

  async deliver(events: readonly EncodedEvent[], signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    if (events.length === 0) return
    const sink = (this.#sink ??= await this.#open())
    try {
      await sink.deliver(events, signal)
    } catch (error) {
      if (toDeliveryError(error).kind !== 'poison') await this.close()
      throw error
    }
  }

  async close(): Promise<void> {
    const sink = this.#sink
    this.#sink = null
    await sink?.close()
  }
}
