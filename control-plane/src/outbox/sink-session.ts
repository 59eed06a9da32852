import { CompactedError } from '../domain/revision.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Logger } from '../runtime/logger.ts'
import type { ChangeLog } from '../store/change-log.ts'
import type { Ownership } from '../store/owned-role.ts'
import { encodeEvent, toDiscontinuityEvent, type Discontinuity } from './cloud-event.ts'
import { doneOf, nextSlice, toEntries, toParked, type LogEntry } from './log-window.ts'
import type { OutboxCursor, OutboxStore, ParkedEvent } from './outbox-store.ts'
import { ParkedRetry } from './parked-retry.ts'
import { toDeliveryError, type DeliveryError, type Sink } from './sink.ts'
import { Suspicion } from './suspicion.ts'

export interface SessionOptions {
  readonly sink: Sink
  readonly log: Pick<ChangeLog, 'readChanges'>
  readonly outbox: OutboxStore
  readonly clock: Clock
  readonly logger: Logger
  /** CloudEvents source. */
  readonly source: string
  readonly start: 'oldest' | 'now'
  /** How often an event is tried that the sink refuses, before it is parked. */
  readonly attempts: number
  /** After so many failures at one event other ones are tried, to tell a sink that is down from a bad event. */
  readonly suspectAfter: number
  /** How long after the last attempts at parked events they are tried again (ms). */
  readonly parkedRetryMs: number
  /** The most events that may be parked; beyond, the sink waits. */
  readonly parkedLimit: number
  /** Revisions read at a time. */
  readonly pageRevisions: number
}

/** A newer owner has claimed the sink: this one has to stop, and what it tried to store has no effect. */
export class FencedOffError extends Error {
  override readonly name = 'FencedOffError'
}

const behind = { error: 'an earlier event of this aggregate is parked', attempts: 0 }

/**
 * Delivers the log to one sink under one fence. Invariants: the cursor passes a change only when the sink has it
 * or it is parked; changes of one aggregate are delivered in log order; once one is parked, so are the later ones
 * of its aggregate until it has been delivered after all (docs/adr).
 */
export class SinkSession {
  readonly #options: SessionOptions
  readonly #ownership: Ownership
  readonly #parked = new Set<string>()
  readonly #retry: ParkedRetry
  #parkedEvents = 0
  #cursor: OutboxCursor
  #entries: readonly LogEntry[] = []
  /** So many of the next events are delivered one by one, to find the one that was refused. */
  #isolate = 0
  readonly #suspicion: Suspicion

  private constructor(options: SessionOptions, ownership: Ownership, cursor: OutboxCursor) {
    this.#options = options
    this.#ownership = ownership
    this.#cursor = cursor
    this.#retry = new ParkedRetry(options, ownership)
    this.#suspicion = new Suspicion(options)
  }

  /** Shuts out former owners. Rejects with FencedOffError when there is a newer one. */
  static async open(options: SessionOptions, ownership: Ownership): Promise<SinkSession> {
    const { outbox, sink, start } = options
    const cursor = await outbox.claim({ sink: sink.name, fence: ownership.fence, start })
    if (cursor === null) throw new FencedOffError(sink.name)
    const session = new SinkSession(options, ownership, cursor)
    await session.#readParked()
    return session
  }

  get cursor(): OutboxCursor {
    return this.#cursor
  }

  get parked(): number {
    return this.#parkedEvents
  }

  /**
   * One delivery and what follows from it. `idle`: the sink has everything. Rejects with a DeliveryError or what
   * the database says, to be tried again later, or with FencedOffError.
   */
  async step(): Promise<'idle' | 'progress'> {
    if (this.#parkedEvents > 0 && this.#retry.due()) {
      await this.#retry.run()
      await this.#readParked()
    }
    if (this.#entries.length === 0 && (await this.#fill()) === 'resumed') return 'progress'
    if (this.#entries.length === 0) return 'idle'
    const { sink } = this.#options
    const limits =
      this.#isolate > 0
        ? { events: 1, bytes: Infinity }
        : { events: sink.maxBatch, bytes: sink.maxBatchBytes }
    const slice = nextSlice(this.#entries, { parked: this.#parked, limits })
    const events = slice.filter(entry => !this.#parked.has(entry.aggregate)).map(({ encoded }) => encoded)
    this.#requireRoom(slice.length - events.length)
    try {
      if (events.length > 0) await sink.deliver(events, this.#ownership.signal)
    } catch (error) {
      await this.#failed({ slice, events: events.length, failure: toDeliveryError(error) })
      return 'progress'
    }
    this.#isolate = Math.max(0, this.#isolate - events.length)
    await this.#commit(slice)
    return 'progress'
  }

  async #failed(delivery: {
    slice: readonly LogEntry[]
    events: number
    failure: DeliveryError
  }): Promise<void> {
    const { slice, events, failure } = delivery
    await this.#commit(doneOf(slice, { parked: this.#parked, delivered: failure.delivered }))
    const rest = events - failure.delivered
    const culprit = this.#entries[0]
    if (failure.kind === 'gone' || rest < 1 || culprit === undefined) throw failure
    if (failure.kind === 'retryable') this.#suspicion.failed(culprit.encoded.event.id)
    if (rest > 1 && (failure.kind === 'poison' || this.#suspicion.aroused)) {
      this.#isolate = rest
      this.#suspicion.clear()
      if (failure.kind === 'poison') return
    }
    if (failure.kind === 'poison') this.#suspicion.refused(culprit.encoded.event.id)
    else if (this.#suspicion.aroused) this.#suspicion.probed(await this.#takesAnother(culprit))
    if (!this.#suspicion.proven) throw failure
    await this.#park(culprit, failure)
  }

  /** Whether the sink takes an event of another aggregate while it does not take this one. Delivers it early. */
  async #takesAnother(culprit: LogEntry): Promise<boolean> {
    const other = this.#entries.find(
      ({ aggregate }) => aggregate !== culprit.aggregate && !this.#parked.has(aggregate),
    )
    if (other === undefined) return false
    try {
      await this.#options.sink.deliver([other.encoded], this.#ownership.signal)
      return true
    } catch {
      return false
    }
  }

  async #park(culprit: LogEntry, failure: DeliveryError): Promise<void> {
    this.#requireRoom(1)
    const parked = toParked(culprit, { error: failure.message, attempts: this.#suspicion.attempts })
    await this.#advance([culprit], [parked])
    this.#parked.add(culprit.aggregate)
    this.#suspicion.clear()
    this.#isolate = 0
    const { id: change, aggregateType, aggregateId, error } = parked
    this.#options.logger.error({ change, aggregateType, aggregateId, error }, 'an event was parked')
  }

  /** `done` begins `#entries`. */
  async #commit(done: readonly LogEntry[]): Promise<void> {
    if (done.length === 0) return
    const park = done
      .filter(({ aggregate }) => this.#parked.has(aggregate))
      .map(entry => toParked(entry, behind))
    await this.#advance(done, park)
  }

  async #advance(done: readonly LogEntry[], park: readonly ParkedEvent[]): Promise<void> {
    const to = done.at(-1)?.after ?? this.#cursor
    await this.#moveTo(to, park)
    this.#parkedEvents += park.length
    this.#entries = this.#entries.slice(done.length)
  }

  async #moveTo(to: OutboxCursor, park: readonly ParkedEvent[]): Promise<void> {
    const { outbox, sink } = this.#options
    const moved = await outbox.advance({ sink: sink.name, fence: this.#ownership.fence, to, park })
    if (!moved) throw new FencedOffError(sink.name)
    this.#cursor = to
  }

  async #fill(): Promise<'filled' | 'resumed'> {
    const { log, pageRevisions: limit, source } = this.#options
    const after = this.#cursor.revision
    try {
      const { sets, head } = await log.readChanges({ after, limit })
      if (head < after) return await this.#resume({ resumesAfter: head, reason: 'restored' })
      this.#entries = toEntries(sets, { cursor: this.#cursor, source })
      return 'filled'
    } catch (error) {
      if (!(error instanceof CompactedError)) throw error
      const { head } = await this.#options.outbox.progress(this.#options.sink.name)
      return this.#resume({ resumesAfter: error.oldest > 0 ? error.oldest - 1 : head, reason: 'compacted' })
    }
  }

  /** Retention keeps what a sink has not been given, so this takes a restored or tampered database. */
  async #resume({
    resumesAfter,
    reason,
  }: Pick<Discontinuity, 'resumesAfter' | 'reason'>): Promise<'resumed'> {
    const { sink, clock, source, logger } = this.#options
    const deliveredTo = this.#cursor.revision
    const at = new Date(clock.now()).toISOString()
    logger.error({ deliveredTo, resumesAfter, reason }, 'the log does not continue where this sink is')
    try {
      const event = encodeEvent(toDiscontinuityEvent({ deliveredTo, resumesAfter, reason, at }, source))
      await sink.deliver([event], this.#ownership.signal)
    } catch (error) {
      // A sink that refuses to be told is not held up by it.
      if (toDeliveryError(error).kind !== 'poison') throw error
    }
    await this.#moveTo({ revision: resumesAfter, position: 0 }, [])
    return 'resumed'
  }

  /** Also what an operator has removed by hand. */
  async #readParked(): Promise<void> {
    const { outbox, sink } = this.#options
    const { aggregates, events } = await outbox.parkedAggregates(sink.name)
    this.#parked.clear()
    for (const aggregate of aggregates) this.#parked.add(aggregate)
    this.#parkedEvents = events
  }

  #requireRoom(events: number): void {
    const { parkedLimit } = this.#options
    if (events === 0 || this.#parkedEvents + events <= parkedLimit) return
    throw new Error(`${this.#parkedEvents} events are parked, the limit is ${parkedLimit}: delivery waits`)
  }
}
