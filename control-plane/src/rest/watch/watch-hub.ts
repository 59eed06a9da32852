import { WaymarkError } from '../../domain/errors.ts'
import type { ChangeSet } from '../../domain/change.ts'
import { CompactedError, rewritten, type Revision } from '../../domain/revision.ts'
import type { MeshDelta, MeshState } from '../../mesh/mesh-state.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Logger } from '../../runtime/logger.ts'
import type { RestLimits } from '../limits.ts'
import type { ChangeReader } from '../ports.ts'
import type { Lane, Turns } from '../turns.ts'
import { filterSet, type WatchFilter } from './change-filter.ts'
import { Channels } from './channels.ts'
import { eventBytes, type EventWriter } from './event-stream.ts'
import { RecentSets } from './recent-sets.ts'
import { Watcher } from './watcher.ts'

export interface WatchOptions {
  readonly filter: WatchFilter
  /** Changes after this revision, which this replica has reached: of another it could not tell that the log has lost it. */
  readonly after: Revision
}

/** A watch whose first page is known to be there; `run` resolves when it has ended. */
export interface Watch {
  run(stream: EventWriter, gone: AbortSignal): Promise<void>
}

export interface HubOptions {
  readonly mesh: MeshState
  readonly changes: ChangeReader
  readonly clock: Clock
  readonly turns: Turns
  readonly logger: Logger
  readonly limits: RestLimits
}

/**
 * All server-sent event streams of this replica. Each has a cursor. Who is behind takes what follows its cursor from the
 * shared recent revisions, or from the log when they no longer reach back that far, and waits for its socket; who is
 * up to date gets each revision as it comes, in bytes that are made once for all who ask for the same. So nothing is
 * missed or doubled, whatever happens in between, a slow reader costs a cursor, and a change costs those whom it concerns.
 */
export class WatchHub {
  readonly #options: HubOptions
  readonly #recent: RecentSets
  readonly #channels = new Channels()
  readonly #lane: Lane
  readonly #live = new Set<Watcher>()
  readonly #unsubscribe: () => void
  readonly #closing = new AbortController()
  /** Everything up to this revision has been offered to those who are up to date. */
  #offered: Revision
  /** Of the logs that streams were opened on; grows when the log is rewritten. */
  #history = 0
  #beating = false
  #open = 0
  #closedSlow = 0

  constructor(options: HubOptions) {
    this.#options = options
    const { mesh, limits, turns } = options
    this.#recent = new RecentSets({ capacity: 4 * limits.watchPage, revision: mesh.revision })
    this.#offered = mesh.revision
    this.#lane = turns.lane()
    this.#unsubscribe = mesh.onDelta(delta => {
      this.#follow(delta)
    })
  }

  counts(): { readonly open: number; readonly closedSlow: number } {
    return { open: this.#open, closedSlow: this.#closedSlow }
  }

  /** Ends every stream; their readers reconnect, here or elsewhere, with their Last-Event-ID. */
  close(): void {
    this.#unsubscribe()
    this.#closing.abort()
  }

  /**
   * Rejects with CompactedError when `after` is not in the log (any more), with WaymarkError `overloaded` or
   * `database_unavailable`: before anything is sent, so that the answer can still be a problem document.
   */
  async open({ filter, after }: WatchOptions): Promise<Watch> {
    const { limits, clock } = this.#options
    if (this.#open >= limits.watchers) {
      throw new WaymarkError('overloaded', `${this.#open} watches are open on this replica already`)
    }
    this.#open += 1
    const history = this.#history
    try {
      const first = await this.#next(after)
      return {
        run: (stream, gone) => {
          const signal = AbortSignal.any([gone, this.#closing.signal])
          const watcher = new Watcher({ stream, filter, cursor: after, signal, clock, limits })
          return this.#run({ watcher, stream, signal, first, history })
        },
      }
    } catch (error) {
      this.#open -= 1
      throw error
    }
  }

  async #next(cursor: Revision): Promise<readonly ChangeSet[]> {
    const { limits, changes, mesh } = this.#options
    const recent = this.#recent.after(cursor, limits.watchPage)
    if (recent !== undefined) return recent
    const { sets } = await changes.readChanges({ after: cursor, limit: limits.watchPage })
    // Of what this replica has not applied it could not tell that the log has lost it.
    return sets.filter(({ revision }) => revision <= mesh.revision)
  }

  async #run(watch: {
    readonly watcher: Watcher
    readonly stream: EventWriter
    readonly signal: AbortSignal
    readonly first: readonly ChangeSet[]
    readonly history: number
  }): Promise<void> {
    const { watcher, stream, signal } = watch
    const event = (set: ChangeSet): Buffer | undefined => {
      const matching = filterSet(set, watcher.filter)
      return matching === undefined ? undefined : this.#channels.event(matching)
    }
    const isSameLog = () => watch.history === this.#history
    let sets = watch.first
    try {
      while (!watcher.isOver()) {
        if (!isSameLog()) throw rewritten(watcher.cursor, this.#options.mesh.revision)
        let keepsUp = await watcher.send(sets, event)
        // The log may have been rewritten while the reader was slow.
        if (keepsUp && isSameLog() && this.#upToDate(watcher)) keepsUp = await this.#liveOf(watcher)
        if (keepsUp && watcher.quietMs >= this.#options.limits.watchHeartbeatMs) {
          watcher.beat()
          keepsUp = watcher.isOver() || (await watcher.drained())
        }
        if (!keepsUp) this.#closedSlow += 1
        if (!keepsUp || watcher.isOver()) return
        sets = await this.#nextOrWait(watcher.cursor, signal)
      }
    } catch (error) {
      if (!(error instanceof CompactedError)) throw error
      this.#options.logger.info(
        { cursor: watcher.cursor, oldest: error.oldest },
        'a watch fell behind retention',
      )
      stream.write(eventBytes('compacted', watcher.cursor, compactedData(error)))
    } finally {
      this.#open -= 1
      stream.end()
    }
  }

  /** Nothing that this replica knows of is missing. */
  #upToDate(watcher: Watcher): boolean {
    return !watcher.isOver() && watcher.cursor >= this.#options.mesh.revision
  }

  /** False: its reader has stopped reading. */
  async #liveOf(watcher: Watcher): Promise<boolean> {
    const leave = this.#channels.join(watcher.filter, watcher)
    this.#live.add(watcher)
    this.#beat()
    try {
      await watcher.live()
    } finally {
      leave()
      this.#live.delete(watcher)
    }
    return watcher.isOver() || watcher.drained()
  }

  /** Like `#next`, but a database that is away is waited for: the stream stands, and nothing was lost. */
  async #nextOrWait(cursor: Revision, signal: AbortSignal): Promise<readonly ChangeSet[]> {
    const { clock, limits, logger, mesh } = this.#options
    try {
      const sets = await this.#next(cursor)
      // The log has lost what this replica still has, and will soon tell it.
      if (sets.length === 0 && cursor < mesh.revision) await clock.sleep(limits.watchRetryMs, signal)
      return sets
    } catch (error) {
      if (!(error instanceof WaymarkError)) throw error
      logger.debug({ err: error }, 'the log could not be read for a watch')
      await clock.sleep(limits.watchRetryMs, signal)
      return []
    }
  }

  #follow(delta: MeshDelta): void {
    this.#recent.add(delta)
    if (delta.rewritten) this.#history += 1
    // After a snapshot, what lies between has to come from the log; and more than this is not offered at once.
    if (delta.resynchronised || this.#lane.size > this.#options.limits.watchPage)
      this.#recallAll(delta.revision)
    else for (const set of delta.sets) this.#lane.add(this.#offer(set))
  }

  /** Each goes on from where it is, by its own means. */
  #recallAll(revision: Revision): void {
    this.#lane.clear()
    for (const watcher of this.#live) {
      watcher.moveTo(this.#offered)
      watcher.recall()
    }
    this.#offered = revision
  }

  *#offer(set: ChangeSet): Generator<undefined> {
    yield* this.#channels.deliver(set)
    this.#offered = set.revision
  }

  /** Looks after quiet streams as long as there are any. */
  #beat(): void {
    if (this.#beating) return
    this.#beating = true
    const { clock, limits } = this.#options
    clock.timer(limits.watchHeartbeatMs / 3, () => {
      this.#beating = false
      if (this.#live.size === 0) return
      this.#lane.add(this.#beatAll())
      this.#beat()
    })
  }

  *#beatAll(): Generator<undefined> {
    for (const watcher of [...this.#live]) {
      // A third early rather than late.
      if (!this.#live.has(watcher) || watcher.quietMs < (this.#options.limits.watchHeartbeatMs * 2) / 3)
        continue
      watcher.moveTo(this.#offered)
      watcher.beat()
      yield
    }
  }
}

const compactedData = (error: CompactedError): string =>
  JSON.stringify({
    code: 'compacted',
    oldest: error.oldest,
    detail: `${error.message}; read the services anew and watch from the revision of that answer`,
  })
