import { WaymarkError } from '../../domain/errors.ts'
import { beyondLog, CompactedError, type Revision } from '../../domain/revision.ts'
import type { MeshState } from '../../mesh/mesh-state.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Logger } from '../../runtime/logger.ts'
import { Wakeup } from '../../runtime/wakeup.ts'
import type { ChangeSet } from '../../domain/change.ts'
import type { RestLimits } from '../limits.ts'
import type { ChangeReader } from '../ports.ts'
import { createRender, type Render, type ServiceFilter } from './change-filter.ts'
import { eventText, heartbeatText, type EventStream } from './event-stream.ts'
import { RecentSets } from './recent-sets.ts'

export interface WatchOptions {
  readonly services: ServiceFilter
  /** Changes after this revision. */
  readonly after: Revision
}

/** A watch whose first page is known to be there; `run` resolves when it has ended. */
export interface Watch {
  run(stream: EventStream, gone: AbortSignal): Promise<void>
}

export interface HubOptions {
  readonly mesh: MeshState
  readonly changes: ChangeReader
  readonly clock: Clock
  readonly logger: Logger
  readonly limits: RestLimits
}

/**
 * All server-sent event streams of this replica. Each is a loop with a cursor: it takes what follows its cursor
 * from the shared recent revisions, or from the log when they no longer reach back that far, and waits for its
 * socket. So nothing is missed or doubled, whatever happens in between, and a slow reader costs a cursor.
 */
export class WatchHub {
  readonly #options: HubOptions
  readonly #recent: RecentSets
  readonly #wakeups = new Set<Wakeup>()
  readonly #unsubscribe: () => void
  readonly #closing = new AbortController()
  readonly #render: Render = createRender()
  #open = 0
  #closedSlow = 0

  constructor(options: HubOptions) {
    this.#options = options
    const { mesh, limits } = options
    this.#recent = new RecentSets({ capacity: 4 * limits.watchPage, revision: mesh.revision })
    this.#unsubscribe = mesh.onDelta(delta => {
      this.#recent.add(delta)
      for (const wakeup of this.#wakeups) wakeup.call()
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
  async open({ services, after }: WatchOptions): Promise<Watch> {
    const { limits } = this.#options
    if (this.#open >= limits.watchers) {
      throw new WaymarkError('overloaded', `${this.#open} watches are open on this replica already`)
    }
    this.#open += 1
    try {
      const first = await this.#next(after)
      return { run: (stream, gone) => this.#run({ stream, gone, services, after, first }) }
    } catch (error) {
      this.#open -= 1
      throw error
    }
  }

  async #next(cursor: Revision): Promise<readonly ChangeSet[]> {
    const { limits, changes, mesh } = this.#options
    if (cursor > mesh.revision) {
      // Another replica is ahead of this one, or the log itself has gone back.
      const { head } = await changes.readChanges({ after: cursor, limit: 1 })
      if (head < cursor) throw beyondLog(cursor, head)
    }
    const recent = this.#recent.after(cursor, limits.watchPage)
    if (recent !== undefined) return recent
    return (await changes.readChanges({ after: cursor, limit: limits.watchPage })).sets
  }

  async #run(watch: {
    readonly stream: EventStream
    readonly gone: AbortSignal
    readonly services: ServiceFilter
    readonly after: Revision
    readonly first: readonly ChangeSet[]
  }): Promise<void> {
    const { stream, services } = watch
    const { clock, limits, logger } = this.#options
    const signal = AbortSignal.any([watch.gone, this.#closing.signal])
    const wakeup = new Wakeup()
    this.#wakeups.add(wakeup)
    let cursor = watch.after
    let sets = watch.first
    let written = clock.monotonic()
    const over = () => signal.aborted || stream.ended
    const send = async (text: string): Promise<void> => {
      written = clock.monotonic()
      if (stream.write(text) || (await stream.drained(limits.watchStallMs)) || signal.aborted) return
      this.#closedSlow += 1
      stream.destroy()
    }
    try {
      while (!over()) {
        for (const set of sets) {
          cursor = set.revision
          const data = this.#render(set, services)
          if (data !== undefined) await send(eventText('change', cursor, data))
          if (over()) return
        }
        const quietMs = clock.monotonic() - written
        if (quietMs >= limits.watchHeartbeatMs) await send(heartbeatText(cursor))
        else if (sets.length === 0)
          await wakeup.wait(signal, { clock, ms: limits.watchHeartbeatMs - quietMs })
        if (over()) return
        sets = await this.#nextOrWait(cursor, signal)
      }
    } catch (error) {
      if (!(error instanceof CompactedError)) throw error
      logger.info({ cursor, oldest: error.oldest }, 'a watch fell behind retention')
      stream.write(eventText('compacted', cursor, compactedData(error)))
    } finally {
      this.#wakeups.delete(wakeup)
      this.#open -= 1
      stream.end()
    }
  }

  /** Like `#next`, but a database that is away is waited for: the stream stands, and nothing was lost. */
  async #nextOrWait(cursor: Revision, signal: AbortSignal): Promise<readonly ChangeSet[]> {
    const { clock, limits, logger } = this.#options
    try {
      return await this.#next(cursor)
    } catch (error) {
      if (!(error instanceof WaymarkError)) throw error
      logger.debug({ err: error }, 'the log could not be read for a watch')
      await clock.sleep(limits.watchRetryMs, signal)
      return []
    }
  }
}

const compactedData = (error: CompactedError): string =>
  JSON.stringify({
    code: 'compacted',
    oldest: error.oldest,
    detail: `${error.message}; read the services anew and watch from the revision of that answer`,
  })
