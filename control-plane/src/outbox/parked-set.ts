import type { ParkedEvent } from '../domain/outbox.ts'
import type { OutboxStore, ParkedSize } from './outbox-store.ts'

export interface ParkedSetOptions {
  readonly outbox: Pick<OutboxStore, 'parkedAggregates'>
  /** The most events that may be parked, and bytes of them; beyond, the sink waits. */
  readonly parkedLimit: number
  readonly parkedBytesLimit: number
}

/** What is parked of one sink: the aggregates that wait, and the room that is left. */
export class ParkedSet {
  readonly #sink: string
  readonly #options: ParkedSetOptions
  readonly #aggregates = new Set<string>()
  #size: ParkedSize = { events: 0, bytes: 0 }

  constructor(sink: string, options: ParkedSetOptions) {
    this.#sink = sink
    this.#options = options
  }

  /** `aggregateType/aggregateId` */
  get aggregates(): ReadonlySet<string> {
    return this.#aggregates
  }

  /** How many. */
  get events(): number {
    return this.#size.events
  }

  /** Also what an operator has removed by hand. */
  async read(): Promise<void> {
    const { aggregates, ...size } = await this.#options.outbox.parkedAggregates(this.#sink)
    this.#aggregates.clear()
    for (const aggregate of aggregates) this.#aggregates.add(aggregate)
    this.#size = size
  }

  /** From now on, what follows of the aggregate waits. */
  hold(aggregate: string): void {
    this.#aggregates.add(aggregate)
  }

  /** They have been parked. */
  add(park: readonly ParkedEvent[]): void {
    this.#size = this.#with(park)
  }

  /** Throws when there is no room for them. */
  requireRoom(park: readonly ParkedEvent[]): void {
    if (park.length === 0) return
    const { parkedLimit, parkedBytesLimit } = this.#options
    const { events, bytes } = this.#with(park)
    if (events > parkedLimit)
      throw new Error(`${this.#size.events} events are parked, the limit is ${parkedLimit}: delivery waits`)
    if (bytes > parkedBytesLimit)
      throw new Error(
        `${this.#size.bytes} bytes of events are parked, the limit is ${parkedBytesLimit}: delivery waits`,
      )
  }

  #with(park: readonly ParkedEvent[]): ParkedSize {
    const { events, bytes } = this.#size
    return {
      events: events + park.length,
      bytes: park.reduce((sum, { event }) => sum + event.length, bytes),
    }
  }
}
