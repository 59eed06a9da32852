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
import type { HistoryFollower, LogPosition } from '../store/writer.ts'

/** Who follows: the mesh state of this replica. */
export interface FeedFollower {
  readonly revision: Revision
  readonly loaded: boolean
  /** `rewritten`: the log has lost its end since the last step, or may have. */
  load(snapshot: MeshSnapshot, rewritten: boolean): void
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
  /** How many connections the sequencer has had: behind another one there may be another database. */
  readonly ownConnections: () => number
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
 *
 * A log that has lost its end (a backup that was restored, a standby that had not got everything) gives the same
 * revisions again, to other changes. So each read looks whether the revision that was applied last is still what it
 * was; if not, the state is read anew. And nothing is applied that was committed over another connection, until it was
 * looked there.
 */
export class Feed implements Component, HistoryFollower {
  readonly name = 'feed'
  readonly #options: FeedOptions
  readonly #pollMs: number
  readonly #silentMs: number
  readonly #wakeup = new Wakeup()
  /** When the read began that has no answer yet (monotonic ms). */
  #readingSince: number | null = null
  readonly #slowest = new RecentMax({ windowMs: 10_000 })
  #status: Omit<FeedStatus, 'slowestMs'>
  /** The first change of the last revision applied; null: not known. */
  #anchor: { readonly revision: Revision; readonly id: string } | null = null
  /** Those `ownConnections` behind which the log was found to continue; null: not looked. */
  #verified: number | null = null
  #resynchronising = false

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

  /** The last revision that was applied. */
  get position(): LogPosition | null {
    const { loaded, revision } = this.#options.follower
    return loaded && revision === 0 ? { revision, id: null } : this.#anchor
  }

  trust(): void {
    if (!this.#resynchronising) this.#verified = this.#options.ownConnections()
  }

  /** Something new may be in the log. */
  hint(): void {
    this.#wakeup.call()
  }

  /** This replica's own commit. */
  offer(sets: readonly ChangeSet[]): void {
    const { follower, ownConnections } = this.#options
    const first = sets[0]
    if (first === undefined) return
    const continues = this.#verified === ownConnections() && first.revision === follower.revision + 1
    if (continues) this.#apply(sets)
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
    const { log, follower, ownConnections } = this.#options
    if (!follower.loaded) await this.#resynchronise('starting')
    for (;;) {
      const after = follower.revision
      const known = this.#anchor?.revision === after ? this.#anchor.id : null
      const connections = ownConnections()
      try {
        const { sets, head, anchor } = await this.#reading(log.readChanges({ after, limit: pageLimit }))
        this.#contact(head)
        if (head < after) {
          await this.#resynchronise(
            `the log ends at ${head}, before ${after}: the database was restored`,
            true,
          )
          continue
        }
        // `offer` may have gone on meanwhile.
        const applied = sets.find(({ revision }) => revision === this.#anchor?.revision)
        const isOther = applied !== undefined && applied.changes[0]?.id !== this.#anchor?.id
        if (isOther || (known !== null && anchor !== null && known !== anchor)) {
          await this.#resynchronise(
            `revision ${follower.revision} of the log is another one than before: its end was lost`,
            true,
          )
          continue
        }
        if (follower.revision === after && anchor !== null) this.#anchor = { revision: after, id: anchor }
        this.#verified = Math.max(this.#verified ?? 0, connections)
        const fresh = sets.filter(set => set.revision > follower.revision)
        if (fresh.length > 0) this.#apply(fresh)
        if (follower.revision >= head) return
      } catch (error) {
        if (!(error instanceof CompactedError)) throw error
        // `offer` has gone on meanwhile.
        if (follower.revision !== after) continue
        // What was applied last is not in the log any more: that it is still what it was nobody can tell.
        await this.#resynchronise(error.message, true)
      }
    }
  }

  #apply(sets: readonly ChangeSet[]): void {
    this.#options.follower.apply(sets)
    const last = sets.at(-1)
    const id = last?.changes[0]?.id
    this.#anchor = last === undefined || id === undefined ? null : { revision: last.revision, id }
  }

  async #resynchronise(reason: string, rewritten = false): Promise<void> {
    const { log, follower, logger } = this.#options
    // What is committed meanwhile comes after the snapshot, by the log.
    this.#verified = null
    this.#resynchronising = true
    const snapshot = await this.#reading(log.readSnapshot()).finally(() => {
      this.#resynchronising = false
    })
    this.#contact(snapshot.revision)
    const { revision, anchor } = snapshot
    this.#anchor = anchor === null ? null : { revision, id: anchor }
    follower.load(snapshot, rewritten)
    logger.info(
      { reason, revision, instances: snapshot.instances.length },
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
