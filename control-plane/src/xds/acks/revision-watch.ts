import type { Revision } from '../../domain/revision.ts'
import { RevisionRecord, type Found } from './revision-journal.ts'
import type { RevisionScope, StreamAnswer, StreamMark } from './stream-mark.ts'

/** A sidecar that refused something of the revision. */
export interface NackedSidecar {
  readonly node: string
  readonly typeUrl: string
  /** At most 10 names. */
  readonly names: readonly string[]
  /** Envoy's words. */
  readonly message: string
  /** Milliseconds since the epoch. */
  readonly at: number
}

/** What the sidecars of one replica have made of one revision. Plain data: replicas exchange it. */
export interface RevisionReport {
  /**
   * `ahead`: not applied here yet. `forgotten`: too long ago to know whom it touched; only who may still be
   * behind it is counted.
   */
  readonly state: 'applied' | 'ahead' | 'forgotten'
  /** The revisions that were applied together with it and are told together. */
  readonly from: Revision
  readonly to: Revision
  readonly touched: number
  readonly acked: number
  readonly nacked: number
  readonly pending: number
  /** Ended before they had answered. */
  readonly disconnected: number
  /** The first of each; at most `listed`. */
  readonly nacks: readonly NackedSidecar[]
  readonly waiting: readonly { readonly node: string; readonly typeUrls: readonly string[] }[]
  readonly gone: readonly string[]
}

/** Names of sidecars in a report, of each kind. */
export const listed = 20
const namesListed = 10

/** Where a watch finds its revision: the journal, and every open stream for what the journal has forgotten. */
export interface RevisionWatchOptions {
  readonly revision: Revision
  readonly find: (revision: Revision) => Found
  readonly marks: () => Iterable<StreamMark>
  /** What to add to a monotonic time for milliseconds since the epoch. */
  readonly epoch: () => number
}

/**
 * Follows the answers to one revision. What a sidecar has once ACKed or NACKed stands. Each event costs the
 * sidecars that it names and that have not answered yet.
 */
export class RevisionWatch {
  readonly #options: RevisionWatchOptions
  #found: Found = 'ahead'
  #scope: RevisionScope | undefined
  #touched = 0
  #acked = 0
  #disconnected: string[] = []
  #nacks: NackedSidecar[] = []
  readonly #open = new Map<string, Map<StreamMark, readonly string[]>>()

  constructor(options: RevisionWatchOptions) {
    this.#options = options
    this.look()
  }

  /** Everybody that it touched has answered or gone. */
  get complete(): boolean {
    return this.#found !== 'ahead' && this.#open.size === 0
  }

  /** Another revision has been applied; true if something has changed. */
  look(): boolean {
    if (this.#found !== 'ahead') return false
    const { find, marks, revision } = this.#options
    this.#found = find(revision)
    if (this.#found === 'ahead') return false
    if (this.#found instanceof RevisionRecord) this.#begin(this.#found, this.#found.marks)
    if (this.#found === 'forgotten') {
      const behind: StreamMark[] = []
      const scope: RevisionScope = { to: revision, names: () => 'all' }
      for (const mark of marks()) if (mark.answer(scope).state === 'pending') behind.push(mark)
      this.#begin(scope, behind)
    }
    return true
  }

  /** Something of these nodes has changed; true if one of them has answered. */
  update(nodes: ReadonlySet<string>): boolean {
    const scope = this.#scope
    if (scope === undefined) return false
    let answered = false
    const few = nodes.size < this.#open.size ? nodes : [...this.#open.keys()]
    for (const node of few) {
      if (!nodes.has(node)) continue
      for (const mark of this.#open.get(node)?.keys() ?? []) answered = this.#note(mark, scope) || answered
    }
    return answered
  }

  report(): RevisionReport {
    const { revision } = this.#options
    const found = this.#found
    const waiting = [...this.#open].flatMap(([node, marks]) =>
      [...marks.values()].map(typeUrls => ({ node, typeUrls })),
    )
    return {
      state: found === 'ahead' || found === 'forgotten' ? found : 'applied',
      from: found instanceof RevisionRecord ? found.from : revision,
      to: found instanceof RevisionRecord ? found.to : revision,
      touched: this.#touched,
      acked: this.#acked,
      nacked: this.#nacks.length,
      pending: waiting.length,
      disconnected: this.#disconnected.length,
      nacks: this.#nacks.slice(0, listed),
      waiting: waiting.slice(0, listed),
      gone: this.#disconnected.slice(0, listed),
    }
  }

  #begin(scope: RevisionScope, marks: readonly StreamMark[]): void {
    this.#scope = scope
    this.#touched = marks.length
    for (const mark of marks) this.#note(mark, scope)
  }

  /** True when it has answered. */
  #note(mark: StreamMark, scope: RevisionScope): boolean {
    const answer = mark.answer(scope)
    if (answer.state === 'pending') {
      const known = this.#open.get(mark.node)
      if (known === undefined) this.#open.set(mark.node, new Map([[mark, answer.typeUrls]]))
      else known.set(mark, answer.typeUrls)
      return false
    }
    const known = this.#open.get(mark.node)
    known?.delete(mark)
    if (known?.size === 0) this.#open.delete(mark.node)
    this.#count(mark.node, answer)
    return true
  }

  #count(node: string, answer: Exclude<StreamAnswer, { readonly state: 'pending' }>): void {
    if (answer.state === 'acked') this.#acked += 1
    else if (answer.state === 'disconnected') this.#disconnected.push(node)
    else {
      const { typeUrl, refusal } = answer
      const at = Math.round(this.#options.epoch() + refusal.at)
      const names = refusal.names.slice(0, namesListed)
      this.#nacks.push({ node, typeUrl, names, message: refusal.message, at })
    }
  }
}
