import { CompactedError, type Revision } from '../domain/revision.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Logger } from '../runtime/logger.ts'
import type { Ownership } from '../store/owned-role.ts'
import { discontinuityEvent } from './cloud-event.ts'
import {
  deliverable,
  doneOf,
  nextSlice,
  toEntries,
  toParked,
  type LogEntry,
  type Wants,
} from './log-window.ts'
import type { OutboxCursor, ParkedEvent, SinkHold } from '../domain/outbox.ts'
import { Delivery, SupersededError } from './delivery.ts'
import type { Claim, OutboxLog, OutboxPage, OutboxStore, SinkGap, SinkIdentity } from './outbox-store.ts'
import { ParkedSet } from './parked-set.ts'
import { ParkedRetry } from './parked-retry.ts'
import type { ParkedTurns } from './parked-turns.ts'
import type { Reach } from './reach.ts'
import type { DeliveryError, Sink } from './sink.ts'
import { Suspicion } from './suspicion.ts'
import { Witnesses } from './witnesses.ts'

export interface SessionOptions {
  readonly sink: Sink
  readonly log: OutboxLog
  readonly outbox: OutboxStore
  readonly clock: Clock
  readonly logger: Logger
  /** CloudEvents source. */
  readonly source: string
  readonly start: SinkIdentity['start']
  readonly origin: SinkIdentity['origin']
  readonly wants: Wants
  /** How often an event is tried that the sink refuses, before it is parked. */
  readonly attempts: number
  /** After so many failures at one event other ones are tried, to tell a sink that is down from a bad event. */
  readonly suspectAfter: number
  /** How long after the last attempts at parked events they are tried again (ms). */
  readonly parkedRetryMs: number
  /** The most events that may be parked; beyond, the sink waits. */
  readonly parkedLimit: number
  readonly parkedBytesLimit: number
  /** Changes read at a time, and their payloads together (characters). */
  readonly pageChanges: number
  readonly pageBytes: number
}

/** A newer owner has claimed the sink, or its document is gone: this one has to stop. */
export class FencedOffError extends Error {
  override readonly name = 'FencedOffError'
}

export interface OpenSession {
  readonly ownership: Ownership
  /** Aborts when somebody wishes something of the sink after the call, and ends the session. */
  readonly wished: AbortSignal
  /** Of this owner. */
  readonly turns: ParkedTurns
  /** Of this replica. */
  readonly reach: Reach
}

/** Whatever the event says: it is not to blame. */
const isOfSink = ({ kind }: DeliveryError): boolean => kind === 'gone' || kind === 'unready'

const behind = { error: 'an earlier event of this aggregate is parked', attempts: 0 }

/**
 * Delivers the log to one sink under one fence, in one epoch. Invariants: the cursor passes a change only when the sink has it
 * or it is parked; changes of one aggregate are delivered in log order; once one is parked, so are the later ones
 * of its aggregate until it has been delivered after all (docs/adr).
 */
export class SinkSession {
  /** Nothing is delivered in this epoch. */
  readonly paused: boolean
  readonly #options: SessionOptions
  readonly #hold: SinkHold
  readonly #delivery: Delivery
  readonly #parked: ParkedSet
  readonly #retry: ParkedRetry
  readonly #reach: Reach
  #cursor: OutboxCursor
  #head: Revision = 0
  #entries: readonly LogEntry[] = []
  /** The page after `#entries`, read while those are delivered. */
  #next: Promise<OutboxPage> | null = null
  /** So many of the next events are delivered one by one, to find the one that was refused. */
  #isolate = 0
  readonly #suspicion: Suspicion
  readonly #witnesses = new Witnesses({ read: after => this.#readOn(after) })

  private constructor(
    options: SessionOptions,
    { ownership, wished, turns, reach }: OpenSession,
    claim: Claim,
  ) {
    const { sink } = options
    this.#options = options
    this.#hold = { sink: sink.name, fence: ownership.fence, epoch: claim.epoch }
    this.#delivery = new Delivery({ sink, owned: ownership.signal, wished })
    this.#parked = new ParkedSet(sink.name, options)
    this.#reach = reach
    this.#cursor = claim.cursor
    this.paused = claim.paused
    this.#retry = new ParkedRetry({ ...options, hold: this.#hold, delivery: this.#delivery, turns })
    this.#suspicion = new Suspicion(options)
  }

  /** Shuts out former owners. Rejects with FencedOffError when there is a newer owner. */
  static async open(options: SessionOptions, request: OpenSession): Promise<SinkSession> {
    const { ownership } = request
    const { outbox, sink, start, origin } = options
    const claim = await outbox.claim({ sink: sink.name, fence: ownership.fence, start, origin })
    if (claim === null) throw new FencedOffError(sink.name)
    const session = new SinkSession(options, request, claim)
    await session.#parked.read()
    return session
  }

  get epoch(): number {
    return this.#hold.epoch
  }

  get cursor(): OutboxCursor {
    return this.#cursor
  }

  /** The newest revision when the log was last read; 0: it has not been read yet. */
  get head(): Revision {
    return this.#head
  }

  get parked(): number {
    return this.#parked.events
  }

  /**
   * One delivery and what follows from it. `idle`: the sink has everything. Rejects with a DeliveryError or what
   * the database says, to be tried again later, or with SupersededError.
   */
  async step(): Promise<'idle' | 'progress'> {
    if (this.#delivery.closed) throw this.#superseded()
    if (this.paused) return 'idle'
    if (this.#retry.due()) await this.#tryParked()
    if (this.#entries.length === 0 && (await this.#fill()) === 'resumed') return 'progress'
    if (this.#entries.length === 0) return 'idle'
    const { sink } = this.#options
    const limits =
      this.#isolate > 0
        ? { events: 1, bytes: Infinity }
        : { events: sink.maxBatch, bytes: sink.maxBatchBytes }
    const slice = nextSlice(this.#entries, { parked: this.#parked.aggregates, limits })
    const events = slice
      .map(entry => deliverable(entry, this.#parked.aggregates))
      .filter(event => event !== null)
    this.#parked.requireRoom(this.#behind(slice))
    const failure = events.length > 0 ? await this.#delivery.attempt(events) : null
    if (failure !== null) {
      await this.#failed({ slice, events: events.length, failure })
      return 'progress'
    }
    this.#isolate = Math.max(0, this.#isolate - events.length)
    await this.#commit(slice)
    return 'progress'
  }

  async #tryParked(): Promise<void> {
    if (this.parked === 0) {
      this.#retry.done()
      return
    }
    try {
      await this.#retry.run()
    } finally {
      await this.#parked.read()
    }
  }

  async #failed(delivery: {
    slice: readonly LogEntry[]
    events: number
    failure: DeliveryError
  }): Promise<void> {
    const { slice, events, failure } = delivery
    await this.#commit(doneOf(slice, { parked: this.#parked.aggregates, delivered: failure.delivered }))
    const rest = events - failure.delivered
    const culprit = this.#entries[0]
    const id = culprit?.encoded?.event.id
    if (isOfSink(failure) || rest < 1 || culprit === undefined || id === undefined) throw failure
    if (failure.kind === 'retryable') this.#suspicion.failed(id)
    if (rest > 1 && (failure.kind === 'poison' || this.#suspicion.aroused)) {
      this.#isolate = rest
      this.#suspicion.clear()
      if (failure.kind === 'poison') return
    }
    if (failure.kind === 'poison') this.#suspicion.refused(id)
    else if (this.#suspicion.aroused) this.#suspicion.probed(await this.#takesAnother())
    if (!this.#suspicion.proven) throw failure
    await this.#park(culprit, failure)
  }

  /** Whether the sink takes an event of another aggregate while it does not take this one. Delivers it early. */
  async #takesAnother(): Promise<boolean> {
    const other = await this.#witnesses.next(this.#entries, this.#parked.aggregates)
    if (other === null) return false
    const taken = (await this.#delivery.attempt([other])) === null
    if (!taken) this.#witnesses.failed()
    return taken
  }

  /** Nothing where the log does not continue: the next step begins at the cursor, and sees why. */
  async #readOn(after: OutboxCursor): Promise<readonly LogEntry[]> {
    try {
      const { changes, head, held } = await this.#read(after)
      if (!held) throw this.#superseded()
      if (head >= after.revision) return this.#toEntries(changes)
    } catch (error) {
      if (!(error instanceof CompactedError)) throw error
    }
    this.#entries = []
    this.#next = null
    return []
  }

  #toEntries(changes: OutboxPage['changes']): LogEntry[] {
    const { source, wants } = this.#options
    return toEntries(changes, { source, wants })
  }

  async #park(culprit: LogEntry, failure: DeliveryError): Promise<void> {
    if (culprit.encoded === null) return
    const attempts = this.#suspicion.attempts
    const parked = toParked(culprit, culprit.encoded, { error: failure.message, attempts })
    this.#parked.requireRoom([parked])
    await this.#advance([culprit], [parked])
    this.#parked.hold(culprit.aggregate)
    this.#suspicion.clear()
    this.#isolate = 0
    const { id: change, aggregateType, aggregateId, error } = parked
    this.#options.logger.error({ change, aggregateType, aggregateId, error }, 'an event was parked')
  }

  /** `done` begins `#entries`. */
  async #commit(done: readonly LogEntry[]): Promise<void> {
    if (done.length === 0) return
    await this.#advance(done, this.#behind(done))
  }

  /** What has to wait because an earlier event of its aggregate is parked. */
  #behind(slice: readonly LogEntry[]): ParkedEvent[] {
    if (this.#parked.aggregates.size === 0) return []
    return slice.flatMap(entry =>
      entry.encoded !== null && this.#parked.aggregates.has(entry.aggregate)
        ? [toParked(entry, entry.encoded, behind)]
        : [],
    )
  }

  async #advance(done: readonly LogEntry[], park: readonly ParkedEvent[]): Promise<void> {
    const to = done.at(-1)?.after ?? this.#cursor
    await this.#moveTo(to, park)
    this.#parked.add(park)
    this.#entries = this.#entries.slice(done.length)
  }

  async #moveTo(to: OutboxCursor, park: readonly ParkedEvent[], gap?: SinkGap): Promise<void> {
    const moved = await this.#options.outbox.advance({ ...this.#hold, to, park, ...(gap && { gap }) })
    if (!moved) throw this.#superseded()
    if (gap === undefined) this.#reach.delivered(to)
    else this.#reach.told(to)
    this.#cursor = to
  }

  async #fill(): Promise<'filled' | 'resumed'> {
    const after = this.#cursor
    const reading = this.#next ?? this.#read(after)
    this.#next = null
    try {
      const { changes, head, held } = await reading
      this.#head = head
      if (!held) throw this.#superseded()
      const end = { revision: head, position: 0 }
      if (head < Math.max(after.revision, this.#reach.revision))
        return await this.#resume(head < after.revision ? end : after, 'restored')
      this.#entries = this.#toEntries(changes)
      const last = this.#entries.at(-1)?.after
      if (last !== undefined && last.revision < head) {
        this.#next = this.#read(last)
        // Whoever takes it sees that it failed; if nobody does, there is nothing to see.
        this.#next.catch(() => undefined)
      }
      return 'filled'
    } catch (error) {
      if (!(error instanceof CompactedError)) throw error
      const { head, epoch } = await this.#options.outbox.progress(this.#options.sink.name)
      if (epoch !== this.epoch) throw this.#superseded()
      const revision = error.oldest > 0 ? error.oldest - 1 : head
      return this.#resume({ revision, position: 0 }, 'compacted')
    }
  }

  #superseded(): SupersededError {
    return new SupersededError(this.#hold.sink)
  }

  #read(after: OutboxCursor): Promise<OutboxPage> {
    const { log, pageChanges: limit, pageBytes: maxBytes } = this.#options
    return log.read({ hold: this.#hold, after, limit, maxBytes })
  }

  /** The sink has waited for longer than the log is held for it, or the database is a restored one. */
  async #resume(after: OutboxCursor, reason: SinkGap['reason']): Promise<'resumed'> {
    const { clock, source, logger } = this.#options
    const deliveredTo = Math.max(this.#cursor.revision, reason === 'restored' ? this.#reach.revision : 0)
    const at = new Date(clock.now()).toISOString()
    const { revision: resumesAfter } = after
    const gap = { deliveredTo, resumesAfter, reason, at }
    logger.error({ deliveredTo, resumesAfter, reason }, 'the log does not continue where this sink is')
    const failure = await this.#delivery.attempt([discontinuityEvent(gap, source)])
    // A sink that refuses to be told is not held up by it.
    if (failure !== null && failure.kind !== 'poison') throw failure
    await this.#moveTo(after, [], gap)
    return 'resumed'
  }
}
