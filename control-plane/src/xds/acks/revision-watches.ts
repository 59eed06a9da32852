import type { Revision } from '../../domain/revision.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { RevisionJournal } from './revision-journal.ts'
import { RevisionWatch, type RevisionReport } from './revision-watch.ts'
import type { StreamMark } from './stream-mark.ts'

/** One revision that somebody follows. */
export interface FollowedRevision {
  /** Everybody that it touched here has answered or gone. */
  readonly complete: boolean
  report(): RevisionReport
  end(): void
}

export interface RevisionWatchesOptions {
  readonly journal: RevisionJournal
  /** Tells of nodes whose answers may have changed; returns the call that ends it. */
  readonly listen: (listener: (nodes: ReadonlySet<string>) => void) => () => void
  /** Of every open stream. */
  readonly marks: () => Iterable<StreamMark>
  readonly clock: Clock
}

/** The revisions that are being followed. While there is none, events cost nothing. */
export class RevisionWatches {
  readonly #options: RevisionWatchesOptions
  /** Who follows the same revision shares a watch. */
  readonly #watches = new Map<
    Revision,
    { readonly watch: RevisionWatch; readonly listeners: Set<() => void> }
  >()
  #unlisten: (() => void) | undefined

  constructor(options: RevisionWatchesOptions) {
    this.#options = options
  }

  /** Calls `onChange` when the report has changed; how many follow is for the caller to bound. */
  follow(revision: Revision, onChange: () => void): FollowedRevision {
    const followed = this.#watches.get(revision) ?? this.#open(revision)
    const { watch, listeners } = followed
    const listener = (): void => {
      onChange()
    }
    listeners.add(listener)
    return {
      get complete() {
        return watch.complete
      },
      report: () => watch.report(),
      end: () => {
        listeners.delete(listener)
        if (listeners.size > 0 || this.#watches.get(revision) !== followed) return
        this.#watches.delete(revision)
        if (this.#watches.size > 0) return
        this.#unlisten?.()
        this.#unlisten = undefined
      },
    }
  }

  /** All up to `revision` has been applied. */
  applied(revision: Revision): void {
    this.#options.journal.close(revision)
    for (const { watch, listeners } of this.#watches.values()) {
      if (watch.look()) for (const changed of listeners) changed()
    }
  }

  #open(revision: Revision): { readonly watch: RevisionWatch; readonly listeners: Set<() => void> } {
    const { journal, marks, clock, listen } = this.#options
    const watch = new RevisionWatch({
      revision,
      find: wanted => journal.find(wanted),
      marks,
      epoch: () => clock.now() - clock.monotonic(),
    })
    const opened = { watch, listeners: new Set<() => void>() }
    this.#watches.set(revision, opened)
    this.#unlisten ??= listen(nodes => {
      for (const { watch: each, listeners } of this.#watches.values()) {
        if (each.update(nodes)) for (const changed of listeners) changed()
      }
    })
    return opened
  }
}
