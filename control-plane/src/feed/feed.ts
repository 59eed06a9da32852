import type { ChangeSet } from '../domain/change.ts'
import { CompactedError, type Revision } from '../domain/revision.ts'
import type { MeshSnapshot } from '../domain/snapshot.ts'
import { Backoff } from '../runtime/backoff.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Component } from '../runtime/component.ts'
import type { Logger } from '../runtime/logger.ts'
import { RecentMax } from '../runtime/recent-max.ts'
import { Wakeup } from '../runtime/wakeup.ts'
import type { ChangeLog } from '../store/change-log.ts'

/** Who follows: the mesh state of this replica. */
export interface FeedFollower {
  readonly revision: Revision
  readonly loaded: boolean
  load(snapshot: MeshSnapshot): void
  apply(sets: readonly ChangeSet[]): void
}

export interface FeedOptions {
  readonly log: Pick<ChangeLog, 'readChanges' | 'readSnapshot' | 'listen'>
  readonly follower: FeedFollower
  readonly clock: Clock
  readonly logger: Logger
  readonly random: () => number
  /** The database backend of this replica's sequencer; null while it has none. */
  readonly ownBackend: () => number | null
  /** How long to wait for a hint before reading anyway (ms). */
  readonly pollMs?: number
  /** A read without an answer for this long is lost contact, long before the connection gives up (ms). */
  readonly silentMs?: number
}

/** Whether the feed has contact with the log, by this replica's clock (ms since the epoch). */
export interface FeedStatus {
  readonly connected: boolean
  readonly since: number
  readonly lastContactAt: number | null
  readonly lastError: string | null
  /** The slowest read of the last 10 s, also one that has no answer yet (ms). */
  readonly slowestMs: number
  /** The newest revision that the last read saw. */
  readonly head: Revision
}

const pageLimit = 1_000

/**
 * Follows the log in order and applies each revision whole, once. It reads when hinted at (NOTIFY), when this
 * replica has committed something it cannot apply directly, and every `pollMs` anyway. What this replica
 * commits itself is applied at once by `offer` if it continues the state.
 */
export class Feed implements Component {
  readonly name = 'feed'
  readonly #options: FeedOptions
  readonly #pollMs: number
  readonly #silentMs: number
  readonly #wakeup = new Wakeup()
  /** When the read began that has no answer yet (monotonic ms). */
  #readingSince: number | null = null
  readonly #slowest = new RecentMax({ windowMs: 10_000 })
  #status: Omit<FeedStatus, 'slowestMs'>

  constructor(options: FeedOptions) {
    this.#options = options
    this.#pollMs = options.pollMs ?? 1_000
    this.#silentMs = options.silentMs ?? 3_000
    const since = options.clock.now()
    this.#status = { connected: false, since, lastContactAt: null, lastError: null, head: 0 }
  }

  status(): FeedStatus {
    const { clock } = this.#options
    const now = clock.monotonic()
    const waited = this.#readingSince === null ? 0 : now - this.#readingSince
    const slowestMs = Math.max(waited, this.#slowest.at(now))
    if (!this.#status.connected || waited <= this.#silentMs) return { ...this.#status, slowestMs }
    // A database that is paused, or a network that swallows packets: nothing fails, nothing comes.
    return {
      ...this.#status,
      slowestMs,
      connected: false,
      since: clock.now() - waited,
      lastError: `no answer for ${Math.floor(waited / 1_000)} s`,
    }
  }

  /** Something new may be in the log. */
  hint(): void {
    this.#wakeup.call()
  }

  /** This replica's own commit. */
  offer(sets: readonly ChangeSet[]): void {
    const { follower } = this.#options
    const first = sets[0]
    if (first === undefined) return
    if (follower.loaded && first.revision === follower.revision + 1) follower.apply(sets)
    else this.hint()
  }

  async start(signal: AbortSignal): Promise<void> {
    const listening = this.#listen(signal)
    const backoff = new Backoff({ baseMs: 100, maxMs: 1_000, random: this.#options.random })
    while (!signal.aborted) {
      try {
        await this.step()
        backoff.reset()
        await this.#wakeup.wait(signal, { clock: this.#options.clock, ms: this.#pollMs })
      } catch (error) {
        this.#lost(error)
        await this.#options.clock.sleep(backoff.next(), signal)
      }
    }
    await listening
  }

  /** Reads and applies everything that is new. */
  async step(): Promise<void> {
    const { log, follower } = this.#options
    if (!follower.loaded) await this.#resynchronise('starting')
    for (;;) {
      const after = follower.revision
      try {
        const { sets, head } = await this.#reading(log.readChanges({ after, limit: pageLimit }))
        this.#contact(head)
        if (head < after) {
          await this.#resynchronise(`the log ends at ${head}, before ${after}: the database was restored`)
          continue
        }
        // `offer` may have applied some of them meanwhile.
        const fresh = sets.filter(set => set.revision > follower.revision)
        if (fresh.length > 0) follower.apply(fresh)
        if (follower.revision >= head) return
      } catch (error) {
        if (!(error instanceof CompactedError)) throw error
        await this.#resynchronise(error.message)
      }
    }
  }

  async #resynchronise(reason: string): Promise<void> {
    const { log, follower, logger } = this.#options
    const before = follower.revision
    const snapshot = await this.#reading(log.readSnapshot())
    this.#contact(snapshot.revision)
    // What `offer` applied while the snapshot was read is newer than the snapshot.
    if (follower.loaded && follower.revision > before && follower.revision >= snapshot.revision) return
    follower.load(snapshot)
    logger.info(
      { reason, revision: snapshot.revision, instances: snapshot.instances.length },
      'mesh state loaded from a snapshot',
    )
  }

  async #reading<T>(read: Promise<T>): Promise<T> {
    const { clock } = this.#options
    const since = clock.monotonic()
    this.#readingSince = since
    try {
      return await read
    } finally {
      this.#readingSince = null
      const now = clock.monotonic()
      this.#slowest.record(now - since, now)
    }
  }

  async #listen(signal: AbortSignal): Promise<void> {
    const { log, clock, random, ownBackend } = this.#options
    const backoff = new Backoff({ baseMs: 200, maxMs: 2_000, random })
    while (!signal.aborted) {
      try {
        await log.listen(backend => {
          backoff.reset()
          // This replica's own commits come by `offer`.
          if (backend === null || backend !== ownBackend()) this.hint()
        }, signal)
      } catch {
        // The polling loop notices and reports the same outage.
      }
      await clock.sleep(backoff.next(), signal)
    }
  }

  #contact(head: Revision): void {
    const now = this.#options.clock.now()
    const { connected, since } = this.#status
    this.#status = {
      connected: true,
      since: connected ? since : now,
      lastContactAt: now,
      lastError: null,
      head,
    }
  }

  #lost(error: unknown): void {
    const { clock, logger } = this.#options
    const { connected, since } = this.#status
    if (connected) logger.warn({ error: String(error) }, 'the feed lost the database')
    this.#status = {
      ...this.#status,
      connected: false,
      since: connected ? clock.now() : since,
      lastError: error instanceof Error ? error.message : String(error),
    }
  }
}
