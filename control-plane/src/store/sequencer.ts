import type pg from 'pg'
import type { ChangeSet } from '../domain/change.ts'
import { WaymarkError } from '../domain/errors.ts'
import { Backoff } from '../runtime/backoff.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Component } from '../runtime/component.ts'
import type { Logger } from '../runtime/logger.ts'
import { Wakeup } from '../runtime/wakeup.ts'
import { beginBatch, runBatch } from './batch-run.ts'
import { makeRoom, probe, type BatchRead } from './batch-sql.ts'
import { ChangeIds } from './change-ids.ts'
import type { ConnectionOptions } from './database.ts'
import { databaseUnavailable, isUnavailable, whyUnavailable } from './unavailable.ts'
import { WaitingWrites, type Waiting } from './waiting-writes.ts'
import { WriteHealth, type WriteState } from './write-health.ts'
import type { Committed, Settled, Write } from './write.ts'
import { Writer, type HistoryFollower } from './writer.ts'

export interface SequencerOptions {
  readonly connection: ConnectionOptions
  readonly clock: Clock
  readonly logger: Logger
  readonly random: () => number
  readonly history?: HistoryFollower
  /** Called after each commit that made changes, before the writers get their answers. Must not throw. */
  readonly onCommitted: (sets: readonly ChangeSet[]) => void
  /** Writes that may wait; more are refused with `overloaded`. */
  readonly capacity?: number
  /** Writes of one transaction: the others wait for it, some 15 ms if it is full. */
  readonly batchLimit?: number
}

/** A transaction that has been begun: behind the end of another one, so that the database need not wait for this process. */
interface Begun {
  readonly client: pg.Client
  readonly read: Promise<BatchRead>
}

interface NextBatch {
  readonly waiting: readonly Waiting[]
  /** null: nothing of it has been sent. */
  readonly begun: Begun | null
}

/**
 * When a batch has waited this long for the database, the writes behind it are refused, long before the connection
 * gives up: their callers can turn to another replica. More than another replica may hold the mesh's lock.
 */
const silentMs = 5_000
/** While writes are refused, how often the database is asked whether it takes them again. */
const probeMs = 1_000

/**
 * The only writer of the log in this replica (registry.md, "The revision log"). Writes that arrive while a
 * commit is in flight go into the next transaction together; an idle sequencer starts at once. Where many wait, the next
 * transaction is begun behind the commit of the one before, and its first rows go before the answers to that one. Across
 * replicas the mesh's advisory lock keeps one transaction at a time, so revision order is commit order and an
 * aborted batch leaves no gap.
 *
 * A write that refuses gets its own error and does not disturb its batch. A statement that the database refuses
 * makes the batch run again one write at a time. While the database is away writes fail at once instead of
 * waiting: a client can then turn to another replica.
 */
export class Sequencer implements Component {
  readonly name = 'sequencer'
  readonly #options: SequencerOptions
  readonly #queue: WaitingWrites
  readonly #batchLimit: number
  readonly #backoff: Backoff
  readonly #ids = new ChangeIds()
  readonly #writer: Writer
  /** Taken out of the queue, and next. */
  #ahead: NextBatch | null = null
  /** The first revision that may have no partition. Forgotten with a transaction that has been rolled back. */
  #roomUpTo = 0
  readonly #wakeup = new Wakeup()
  readonly #health: WriteHealth
  #refuseUntil = 0
  /** A batch waits for a database that says nothing. */
  #silent = false
  #stopped = false
  #batches = 0

  constructor(options: SequencerOptions) {
    this.#options = options
    this.#queue = new WaitingWrites(options.capacity ?? 10_000)
    this.#batchLimit = options.batchLimit ?? 256
    this.#health = new WriteHealth(options.clock)
    this.#writer = new Writer({
      ...options,
      onClosed: () => {
        this.#forget()
      },
    })
    this.#backoff = new Backoff({ baseMs: 100, maxMs: 1_000, random: options.random })
  }

  get waiting(): number {
    return (this.#ahead?.waiting.length ?? 0) + this.#queue.size
  }

  get connection(): Pick<Writer, 'backend' | 'connections'> {
    return this.#writer
  }

  get writes(): WriteState {
    return this.#health.state(this.waiting)
  }

  /** Transactions committed so far. */
  get batches(): number {
    return this.#batches
  }

  /**
   * Resolves when the write is committed. Rejects with what the write refused with, with `overloaded`, with
   * `database_unavailable` (nothing was written, unless the detail says otherwise) or with FencedError.
   */
  async submit<R>(write: Write<R>): Promise<Committed<R>> {
    const refusal = this.#refusal()
    if (refusal !== null) throw refusal
    const committed = this.#queue.add(write)
    this.#wakeup.call()
    return committed
  }

  /** As `submit` of each, in their order. Never rejects. */
  async submitAll<R>(writes: readonly Write<R>[]): Promise<readonly Settled<R>[]> {
    const error = this.#refusal()
    if (error !== null) return writes.map(() => ({ error }))
    const settled = this.#queue.addAll(writes)
    this.#wakeup.call()
    return settled
  }

  async start(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const patience = this.#health.refusing ? { clock: this.#options.clock, ms: probeMs } : undefined
      if (this.#idle) await this.#wakeup.wait(signal, patience)
      if (!this.#idle) await this.step()
      else if (this.#health.refusing) await this.#patiently(() => this.#probe(signal))
    }
    this.#stopped = true
    this.#refuse(this.#takeAll(), databaseUnavailable(undefined, 'this replica is stopping'))
    await this.#writer.disconnect()
  }

  get #idle(): boolean {
    return this.#ahead === null && this.#queue.size === 0
  }

  /** Commits what is waiting, up to one batch. */
  async step(): Promise<void> {
    const { waiting: batch, begun } = this.#ahead ?? this.#next()
    this.#ahead = null
    if (batch.length === 0 && begun === null) return
    await this.#patiently(async () => {
      try {
        await this.#commit(batch, begun)
        this.#backoff.reset()
      } catch (error) {
        if (isUnavailable(error)) {
          await this.#unavailable(batch, error)
        } else if (batch.length === 1) {
          this.#refuse(batch, this.#unexpected(error))
        } else {
          await this.#oneByOne(batch)
        }
      }
    })
  }

  #next(): NextBatch {
    return { waiting: this.#queue.take(this.#batchLimit), begun: null }
  }

  /** Refuses what waits behind `work` when the database leaves that without an answer. */
  async #patiently(work: () => Promise<void>): Promise<void> {
    const patience = this.#options.clock.timer(silentMs, () => {
      this.#fallSilent()
    })
    try {
      await work()
    } finally {
      patience.cancel()
      this.#health.ended()
      this.#silent = false
    }
  }

  /** Asks a database that refused the last writes whether it takes them again: nobody else may be writing. */
  async #probe(signal: AbortSignal): Promise<void> {
    if (signal.aborted) return
    try {
      this.#health.began()
      await probe(await this.#writer.connect())
      this.#health.committed()
      this.#backoff.reset()
    } catch (error) {
      this.#health.refused(whyUnavailable(error))
      await this.#writer.disconnect()
    }
  }

  /** `begun` undefined: one of a batch that has failed, behind which nothing is begun. */
  async #commit(waiting: readonly Waiting[], begun?: Begun | null): Promise<void> {
    this.#health.began()
    const client = await this.#writer.connect()
    const { sets, outcomes, refused, lost } = await this.#run(client, waiting, begun)
    if (refused !== null) {
      this.#roomUpTo = 0
      if (isUnavailable(refused)) await this.#writer.disconnect()
      else await this.#takeBack(client)
      throw refused
    }
    if (lost !== null) {
      await this.#writer.disconnect()
      throw databaseUnavailable(
        lost,
        'the database went away during the commit: the write may or may not have been applied; repeat it',
      )
    }
    this.#batches += 1
    this.#health.committed()
    const { clock, onCommitted } = this.#options
    const tell = (): void => {
      if (sets.length > 0) onCommitted(sets)
      for (const [index, outcome] of outcomes.entries()) waiting[index]?.settle(outcome)
    }
    if (this.#ahead === null) tell()
    else clock.soon(tell)
  }

  /** All but the end of a transaction that could not be written. */
  async #run(client: pg.Client, waiting: readonly Waiting[], begun?: Begun | null) {
    const { clock } = this.#options
    const writes = waiting.map(({ write }) => write)
    try {
      return await runBatch(
        client,
        // What was begun on a connection that has broken is gone.
        { writes, begun: begun?.client === client ? begun.read : beginBatch(client, writes) },
        {
          ids: this.#ids,
          room: async revision => {
            if (revision >= this.#roomUpTo) this.#roomUpTo = await makeRoom(client, revision)
          },
          refusal: thrown => (thrown instanceof WaymarkError ? thrown : this.#unexpected(thrown)),
          turn: () =>
            new Promise(resolve => {
              clock.soon(resolve)
            }),
          onEnd: () => {
            if (begun !== undefined) this.#beginAhead(client)
          },
        },
      )
    } catch (error) {
      this.#roomUpTo = 0
      // A server that does not answer would not answer a rollback either; it rolls back when the connection ends.
      if (isUnavailable(error)) await this.#writer.disconnect()
      else await this.#writer.rollback(client)
      throw error
    }
  }

  /** Begins the next transaction if enough waits for it: few writes would miss those that are about to come. */
  #beginAhead(client: pg.Client): void {
    if (this.#silent || this.#queue.size < this.#batchLimit / 4) return
    const { waiting } = this.#next()
    const read = beginBatch(
      client,
      waiting.map(({ write }) => write),
    )
    // Who runs it finds out.
    read.catch(() => undefined)
    this.#ahead = { waiting, begun: { client, read } }
  }

  /** Undoes what has been begun behind a transaction that is to run again before it. */
  async #takeBack(client: pg.Client): Promise<void> {
    if (this.#ahead === null) return
    this.#ahead = { ...this.#ahead, begun: null }
    await this.#writer.rollback(client)
  }

  async #oneByOne(batch: readonly Waiting[]): Promise<void> {
    for (const [index, waiting] of batch.entries()) {
      try {
        await this.#commit([waiting])
      } catch (error) {
        if (isUnavailable(error)) {
          await this.#unavailable(batch.slice(index), error)
          return
        }
        waiting.settle({ error: this.#unexpected(error) })
      }
    }
  }

  /** The connection has ended, and with it what was begun on it. */
  #forget(): void {
    this.#roomUpTo = 0
    if (this.#ahead !== null) this.#ahead = { ...this.#ahead, begun: null }
  }

  async #unavailable(batch: readonly Waiting[], error: unknown): Promise<void> {
    await this.#writer.disconnect()
    const { clock, logger } = this.#options
    this.#health.refused(whyUnavailable(error))
    this.#refuseUntil = clock.monotonic() + this.#backoff.next()
    logger.warn({ error: String(error), writes: batch.length + this.waiting }, 'writes refused: no database')
    const answer = error instanceof WaymarkError ? error : databaseUnavailable(error)
    this.#refuse(batch, answer)
    this.#refuse(this.#takeAll(), databaseUnavailable(error))
  }

  /** What waits has not been sent, so nothing of it was written. */
  #fallSilent(): void {
    this.#silent = true
    this.#health.refused(`no answer for ${silentMs / 1_000} s`)
    const waiting = this.#takeAll()
    this.#options.logger.warn({ writes: waiting.length }, 'writes refused: the database does not answer')
    this.#refuse(waiting, databaseUnavailable(undefined, 'the database does not answer; nothing was written'))
  }

  /** All that waits. A transaction that has been begun stays, without writes. */
  #takeAll(): readonly Waiting[] {
    const { waiting = [], begun = null } = this.#ahead ?? {}
    this.#ahead = begun === null ? null : { waiting: [], begun }
    return [...waiting, ...this.#queue.take()]
  }

  /** Why no write can be taken now; null: it can. */
  #refusal(): WaymarkError | null {
    const refusing = this.#stopped || this.#silent || this.#options.clock.monotonic() < this.#refuseUntil
    return refusing ? databaseUnavailable(undefined) : null
  }

  #refuse(batch: readonly Waiting[], error: Error): void {
    for (const waiting of batch) waiting.settle({ error })
  }

  #unexpected(error: unknown): WaymarkError {
    this.#options.logger.error({ error }, 'a write failed unexpectedly')
    return new WaymarkError('internal', 'the write failed; nothing was written', { cause: error })
  }
}
