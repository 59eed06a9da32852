import type { EncodedEvent } from './cloud-event.ts'
import { toDeliveryError, type DeliveryError, type Sink } from './sink.ts'

/**
 * What the session does has no effect: there is a newer owner, or somebody has replayed, paused or resumed the sink.
 * Another session tells which.
 */
export class SupersededError extends Error {
  override readonly name = 'SupersededError'
}

export interface DeliveryOptions {
  readonly sink: Sink
  /** Aborts when the role is lost; ends a delivery under way. */
  readonly owned: AbortSignal
  /** Aborts when somebody wishes something else of the sink; a delivery under way ends as it would. */
  readonly wished: AbortSignal
}

/** The only way from a session to its sink: closed as soon as this replica knows that the session is over. */
export class Delivery {
  readonly #options: DeliveryOptions

  constructor(options: DeliveryOptions) {
    this.#options = options
  }

  /** Somebody wishes something else of the sink: nothing more goes through. */
  get closed(): boolean {
    return this.#options.wished.aborted
  }

  /** Resolves with why the sink did not take them all; null: it has them. Rejects with SupersededError, untried. */
  async attempt(events: readonly EncodedEvent[]): Promise<DeliveryError | null> {
    const { sink, owned } = this.#options
    if (this.closed) throw new SupersededError(sink.name)
    try {
      await sink.deliver(events, owned)
      return null
    } catch (error) {
      return toDeliveryError(error)
    }
  }
}
