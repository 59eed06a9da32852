import type pg from 'pg'
import type { ChangeSet } from '../domain/change.ts'
import { WaymarkError } from '../domain/errors.ts'
import { Backoff } from '../runtime/backoff.ts'
import { BoundedQueue } from '../runtime/bounded-queue.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Component } from '../runtime/component.ts'
import type { Logger } from '../runtime/logger.ts'
import { Wakeup } from '../runtime/wakeup.ts'
import { Batch } from './batch.ts'
import { beginAndRead, makeRoom, probe } from './batch-sql.ts'
import { writeAndCommit } from './batch-write.ts'
import { ChangeIds } from './change-ids.ts'
import type { ConnectionOptions } from './database.ts'
import { databaseUnavailable, isUnavailable, whyUnavailable } from './unavailable.ts'
import { WriteHealth, type WriteState } from './write-health.ts'
import { FencedError, type Committed, type Write } from './write.ts'
import { openWriter } from './writer.ts'

export interface SequencerOptions {
  readonly connection: ConnectionOptions
  readonly clock: Clock
  readonly logger: Logger
  readonly random: () => number
  /** Called after each commit that made changes, before the writers get their answers. Must not throw. */
  readonly onCommitted: (sets: readonly ChangeSet[]) => void
  /** Writes that may wait; more are refused with `overloaded`. */
  readonly capacity?: number
  /** Writes of one transaction: the others wait for it, some 20 ms if it is full. */
  readonly batchLimit?: number
}

/** How long to wait for a connection to close in order. */
const goodbyeMs = 1_000
/**
 * When a batch has waited this long for the database, the writes behind it are refused, long before the connection
 * gives up: their callers can turn to another replica. More than another replica may hold the mesh's lock.
 */
const silentMs = 5_000
/** While writes are refused, how often the database is asked whether it takes them again. */
const probeMs = 1_000

interface Waiting {
  readonly write: Write<unknown>
  readonly resolve: (committed: Committed<unknown>) => void
  readonly reject: (error: unknown) => void
}

type Outcome = { readonly committed: Committed<unknown> } | { readonly error: unknown }

/**
 * The only writer of the log in this replica (registry.md, "The revision log"). Writes that arrive while a
 * commit is in flight go into the next transaction together; an idle sequencer starts at once. Across
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
  readonly #queue: BoundedQueue<Waiting>
  readonly #batchLimit: number
  readonly #backoff: Backoff
  readonly #ids = new ChangeIds()
  #client: pg.Client | null = null
  #backend: number | null = null
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
    this.#queue = new BoundedQueue(options.capacity ?? 10_000)
    this.#batchLimit = options.batchLimit ?? 512
    this.#health = new WriteHealth(options.clock)
    this.#backoff = new Backoff({ baseMs: 100, maxMs: 1_000, random: options.random })
  }

  get waiting(): number {
    return this.#queue.size
  }

  /** The database backend that serves this sequencer; null while it has none. */
  get backend(): number | null {
    return this.#backend
  }

  get writes(): WriteState {
    return this.#health.state(this.#queue.size)
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
    if (this.#stopped || this.#silent || this.#options.clock.monotonic() < this.#refuseUntil) {
      throw databaseUnavailable(undefined)
    }
    return new Promise<Committed<R>>((resolve, reject) => {
      const waiting: Waiting = {
        write,
        // The result is what this very write's decide returned.
        resolve: committed => {
          resolve(committed as Committed<R>)
        },
        reject,
      }
      if (!this.#queue.push(waiting)) {
        const detail = `${this.#queue.capacity} writes are waiting`
        reject(new WaymarkError('overloaded', detail, { retryAfterMs: 1_000 }))
        return
      }
      this.#wakeup.call()
    })
  }

  async start(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const patience = this.#health.refusing ? { clock: this.#options.clock, ms: probeMs } : undefined
      if (this.#queue.size === 0) await this.#wakeup.wait(signal, patience)
      if (this.#queue.size > 0) await this.step()
      else if (this.#health.refusing) await this.#patiently(() => this.#probe(signal))
    }
    this.#stopped = true
    this.#refuse(
      this.#queue.take(this.#queue.capacity),
      databaseUnavailable(undefined, 'this replica is stopping'),
    )
    await this.#disconnect()
  }

  /** Commits what is waiting, up to one batch. */
  async step(): Promise<void> {
    const batch = this.#queue.take(this.#batchLimit)
    if (batch.length === 0) return
    await this.#patiently(async () => {
      try {
        await this.#commit(batch)
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
      await probe(await this.#connect())
      this.#health.committed()
      this.#backoff.reset()
    } catch (error) {
      this.#health.refused(whyUnavailable(error))
      await this.#disconnect()
    }
  }

  async #commit(waiting: readonly Waiting[]): Promise<void> {
    this.#health.began()
    const client = await this.#connect()
    const { batch, outcomes } = await this.#decide(client, waiting)
    await this.#write(client, batch)
    this.#batches += 1
    this.#health.committed()
    if (batch.sets.length > 0) this.#options.onCommitted(batch.sets)
    waiting.forEach(({ resolve, reject }, index) => {
      const outcome = outcomes[index]
      if (outcome === undefined) return
      if ('error' in outcome) reject(outcome.error)
      else resolve(outcome.committed)
    })
  }

  /** Begins a transaction, with the mesh's lock, and runs the writes on what they find in it. */
  async #decide(client: pg.Client, waiting: readonly Waiting[]) {
    const touches = waiting.flatMap(({ write }) => write.touches)
    const roles = [...new Set(waiting.flatMap(({ write }) => write.fence?.role ?? []))]
    try {
      const { input, fences } = await beginAndRead(client, touches, roles)
      const batch = new Batch(input, this.#ids)
      const outcomes = waiting.map(({ write }): Outcome => {
        const fence = write.fence
        if (fence !== undefined && fences.get(fence.role) !== fence.fence) {
          return { error: new FencedError(fence.role, fence.fence) }
        }
        try {
          return { committed: batch.run(write) }
        } catch (error) {
          return { error: error instanceof WaymarkError ? error : this.#unexpected(error) }
        }
      })
      if (!batch.empty && batch.revision + 1 >= this.#roomUpTo)
        this.#roomUpTo = await makeRoom(client, batch.revision + 1)
      return { batch, outcomes }
    } catch (error) {
      // A server that does not answer would not answer a rollback either; it rolls back when the connection ends.
      if (isUnavailable(error)) await this.#disconnect()
      else await this.#rollback(client)
      throw error
    }
  }

  /** Writes the batch and commits, in one round trip. */
  async #write(client: pg.Client, batch: Batch): Promise<void> {
    const { refused, lost } = await writeAndCommit(client, batch)
    if (refused !== null) {
      if (isUnavailable(refused)) await this.#disconnect()
      throw refused
    }
    if (lost === null) return
    await this.#disconnect()
    throw databaseUnavailable(
      lost,
      'the database went away during the commit: the write may or may not have been applied; repeat it',
    )
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
        waiting.reject(this.#unexpected(error))
      }
    }
  }

  async #connect(): Promise<pg.Client> {
    if (this.#client !== null) return this.#client
    const { connection, logger } = this.#options
    const { client, backend } = await openWriter(connection, (error, broken) => {
      logger.warn({ error: error.message }, 'the sequencer lost its connection')
      if (this.#client === broken) this.#client = null
    })
    this.#backend = backend
    this.#client = client
    this.#roomUpTo = 0
    return client
  }

  async #rollback(client: pg.Client): Promise<void> {
    try {
      await client.query('rollback')
    } catch {
      await this.#disconnect()
    }
  }

  async #disconnect(): Promise<void> {
    const client = this.#client
    this.#client = null
    this.#backend = null
    if (client === null) return
    // A connection that is broken cannot say goodbye, and a server that is paused does not answer one.
    const closed = client.end().catch(() => undefined)
    await Promise.race([closed, this.#options.clock.sleep(goodbyeMs)])
  }

  async #unavailable(batch: readonly Waiting[], error: unknown): Promise<void> {
    await this.#disconnect()
    const { clock, logger } = this.#options
    this.#health.refused(whyUnavailable(error))
    this.#refuseUntil = clock.monotonic() + this.#backoff.next()
    logger.warn(
      { error: String(error), writes: batch.length + this.#queue.size },
      'writes refused: no database',
    )
    const answer = error instanceof WaymarkError ? error : databaseUnavailable(error)
    this.#refuse(batch, answer)
    this.#refuse(this.#queue.take(this.#queue.capacity), databaseUnavailable(error))
  }

  /** What waits has not been sent, so nothing of it was written. */
  #fallSilent(): void {
    this.#silent = true
    this.#health.refused(`no answer for ${silentMs / 1_000} s`)
    const waiting = this.#queue.take(this.#queue.capacity)
    this.#options.logger.warn({ writes: waiting.length }, 'writes refused: the database does not answer')
    this.#refuse(waiting, databaseUnavailable(undefined, 'the database does not answer; nothing was written'))
  }

  #refuse(batch: readonly Waiting[], error: unknown): void {
    for (const { reject } of batch) reject(error)
  }

  #unexpected(error: unknown): WaymarkError {
    this.#options.logger.error({ error }, 'a write failed unexpectedly')
    return new WaymarkError('internal', 'the write failed; nothing was written', { cause: error })
  }
}
