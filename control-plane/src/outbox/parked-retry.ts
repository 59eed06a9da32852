import type { Clock } from '../runtime/clock.ts'
import type { Logger } from '../runtime/logger.ts'
import { decodeEvent } from './cloud-event.ts'
import type { ParkedEvent, SinkHold } from '../domain/outbox.ts'
import { SupersededError, type Delivery } from './delivery.ts'
import type { OutboxStore } from './outbox-store.ts'

export interface ParkedRetryOptions {
  readonly hold: SinkHold
  readonly delivery: Delivery
  readonly outbox: OutboxStore
  readonly clock: Clock
  readonly logger: Logger
  readonly parkedRetryMs: number
}

/** Aggregates tried in one run, and events of one aggregate delivered in it. */
const limit = 100

/**
 * Tries parked events again, now and then: of each aggregate the oldest, and if the sink takes it the following
 * ones. So a receiver that was repaired gets everything, in order, without anybody's help.
 */
export class ParkedRetry {
  readonly #options: ParkedRetryOptions
  #next: number

  /** `soon`: somebody asked for it, or it is not known when the last attempts were. */
  constructor(options: ParkedRetryOptions, soon: boolean) {
    this.#options = options
    this.#next = options.clock.monotonic() + (soon ? 0 : options.parkedRetryMs)
  }

  due(): boolean {
    return this.#options.clock.monotonic() >= this.#next
  }

  /**
   * Rejects with a DeliveryError when the sink takes nothing at all now, and with SupersededError; the next run is as
   * far away as after a success.
   */
  async run(): Promise<void> {
    const { outbox, clock, parkedRetryMs } = this.#options
    const { sink } = this.#options.hold
    this.#next = clock.monotonic() + parkedRetryMs
    const heads = await outbox.parkedHeads({ sink, limit })
    let taken = 0
    for (const { aggregateType, aggregateId } of heads) {
      const events = await outbox.parkedOf({ sink, aggregateType, aggregateId, limit })
      for (const event of events) {
        if (!(await this.#redeliver(event))) break
        taken += 1
      }
    }
    // A sink that takes them again gets all of them, with what is new in between.
    if (taken >= limit) this.#next = clock.monotonic()
  }

  /** False: refused again. */
  async #redeliver(parked: ParkedEvent): Promise<boolean> {
    const { hold, delivery, outbox, logger } = this.#options
    const { id } = parked
    const failure = await delivery.attempt([decodeEvent(parked.event)])
    if (failure !== null && failure.kind !== 'poison') throw failure
    if (failure === null) logger.info({ change: id }, 'a parked event was delivered')
    const stored =
      failure === null
        ? await outbox.unpark({ ...hold, id })
        : await outbox.refused({ ...hold, id, error: failure.message })
    if (!stored) throw new SupersededError(hold.sink)
    return failure === null
  }
}
