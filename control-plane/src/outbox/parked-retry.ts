import type { Clock } from '../runtime/clock.ts'
import type { Logger } from '../runtime/logger.ts'
import type { Ownership } from '../store/owned-role.ts'
import { decodeEvent } from './cloud-event.ts'
import type { ParkedEvent } from '../domain/outbox.ts'
import type { OutboxStore } from './outbox-store.ts'
import { toDeliveryError, type Sink } from './sink.ts'

export interface ParkedRetryOptions {
  readonly sink: Sink
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
  readonly #ownership: Ownership
  #next: number

  /** `soon`: somebody asked for it, or it is not known when the last attempts were. */
  constructor(options: ParkedRetryOptions, ownership: Ownership, soon: boolean) {
    this.#options = options
    this.#ownership = ownership
    this.#next = options.clock.monotonic() + (soon ? 0 : options.parkedRetryMs)
  }

  due(): boolean {
    return this.#options.clock.monotonic() >= this.#next
  }

  /** Rejects when the sink takes nothing at all now; the next run is as far away as after a success. */
  async run(): Promise<void> {
    const { sink, outbox, clock, parkedRetryMs } = this.#options
    this.#next = clock.monotonic() + parkedRetryMs
    const heads = await outbox.parkedHeads({ sink: sink.name, limit })
    let taken = 0
    for (const { aggregateType, aggregateId } of heads) {
      const events = await outbox.parkedOf({ sink: sink.name, aggregateType, aggregateId, limit })
      for (const event of events) {
        if (!(await this.#redeliver(event))) break
        taken += 1
      }
    }
    // A sink that takes them again gets all of them, with what is new in between.
    if (taken >= limit) this.#next = clock.monotonic()
  }

  /** False: refused again, or somebody else's work by now. */
  async #redeliver(parked: ParkedEvent): Promise<boolean> {
    const { sink, outbox, logger } = this.#options
    const fenced = { sink: sink.name, fence: this.#ownership.fence, id: parked.id }
    try {
      await sink.deliver([decodeEvent(parked.event)], this.#ownership.signal)
    } catch (error) {
      const failure = toDeliveryError(error)
      if (failure.kind !== 'poison') throw failure
      await outbox.refused({ ...fenced, error: failure.message })
      return false
    }
    logger.info({ change: parked.id }, 'a parked event was delivered')
    return outbox.unpark(fenced)
  }
}
