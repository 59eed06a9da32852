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
  readonly #watches = new Map<RevisionWatch, () => void>()
  #unlisten: (() => void) | undefined

  constructor(options: RevisionWatchesOptions) {
    this.#options = options
  }

  /** Calls `onChange` when the report has changed; how many follow is for the caller to bound. */
  follow(revision: Revision, onChange: () => void): FollowedRevision {
    const { journal, marks, clock, listen } = this.#options
    const watch = new RevisionWatch({
      revision,
      find: wanted => journal.find(wanted),
      marks,
      epoch: () => clock.now() - clock.monotonic(),
    })
    this.#watches.set(watch, onChange)
    this.#unlisten ??= listen(nodes => {
      for (const [each, changed] of this.#watches) if (each.update(nodes)) changed()
    })
    return {
      get complete() {
        return watch.complete
      },
      report: () => watch.report(),
      end: () => {
        this.#watches.delete(watch)
        if (this.#watches.size > 0) return
        this.#unlisten?.()
        this.#unlisten = undefined
      },
    }
  }

  /** All up to `revision` has been applied. */
  applied(revision: Revision): void {
    this.#options.journal.close(revision)
    for (const [watch, changed] of this.#watches) if (watch.look()) changed()
  }
}
