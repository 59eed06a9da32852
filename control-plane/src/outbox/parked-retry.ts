import type { Clock } from '../runtime/clock.ts'
import type { Logger } from '../runtime/logger.ts'
import { decodeEvent } from './cloud-event.ts'
import type { ParkedEvent, SinkHold } from '../domain/outbox.ts'
import { SupersededError, type Delivery } from './delivery.ts'
import type { OutboxStore } from './outbox-store.ts'
import type { ParkedTurns } from './parked-turns.ts'
import { DeliveryError } from './sink.ts'

export interface ParkedRetryOptions {
  readonly hold: SinkHold
  readonly delivery: Delivery
  readonly outbox: OutboxStore
  readonly turns: ParkedTurns
  readonly clock: Clock
  readonly logger: Logger
  readonly parkedRetryMs: number
}

/** Aggregates tried in one run, and events of one aggregate delivered in it. */
const limit = 100
/** So many attempts that fail as they would if the sink were down, and the run ends. */
const failuresInRow = 3

/**
 * Tries parked events again, now and then: of each aggregate the oldest, and if the sink takes it the following
 * ones. So a receiver that was repaired gets everything, in order, without anybody's help.
 */
export class ParkedRetry {
  readonly #options: ParkedRetryOptions

  constructor(options: ParkedRetryOptions) {
    this.#options = options
  }

  due(): boolean {
    const { turns, hold, clock } = this.#options
    return turns.due(hold.epoch, clock.monotonic())
  }

  /** There is nothing to try, or it has been tried. */
  done(): void {
    this.#again(this.#options.parkedRetryMs)
  }

  /**
   * Rejects with a DeliveryError when the sink takes nothing at all now; the next run is as far away then as after a
   * success. Rejects with SupersededError or what the database says when it has to be made once more.
   */
  async run(): Promise<void> {
    try {
      // A sink that takes them again gets all of them, with what is new in between.
      if ((await this.#tryAll()) >= limit) this.#again(0)
      else this.done()
    } catch (error) {
      if (error instanceof DeliveryError) this.done()
      throw error
    }
  }

  #again(ms: number): void {
    const { turns, hold, clock } = this.#options
    turns.taken(hold.epoch, clock.monotonic() + ms)
  }

  /** Resolves with how many were taken. */
  async #tryAll(): Promise<number> {
    const { outbox, hold } = this.#options
    const heads = await outbox.parkedHeads({ sink: hold.sink, limit })
    let taken = 0
    let failures = 0
    for (const { aggregateType, aggregateId } of heads) {
      const events = await outbox.parkedOf({ sink: hold.sink, aggregateType, aggregateId, limit })
      for (const event of events) {
        const failure = await this.#redeliver(event)
        if (failure === null) taken += 1
        // Some break the sink, each by itself; one after the other that is a sink that is down.
        failures = failure === null || failure.kind === 'poison' ? 0 : failures + 1
        if (failure === null) continue
        if (failure.kind === 'gone' || failures === failuresInRow) throw failure
        break
      }
    }
    return taken
  }

  /** null: it was taken. */
  async #redeliver(parked: ParkedEvent): Promise<DeliveryError | null> {
    const { hold, delivery, outbox, logger } = this.#options
    const { id } = parked
    const failure = await delivery.attempt([decodeEvent(parked.event)])
    if (failure === null) logger.info({ change: id }, 'a parked event was delivered')
    if (failure?.kind === 'gone') return failure
    const stored =
      failure === null
        ? await outbox.unpark({ ...hold, id })
        : await outbox.refused({ ...hold, id, error: failure.message })
    if (!stored) throw new SupersededError(hold.sink)
    return failure
  }
}
