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

type Settled = Exclude<StreamAnswer['state'], 'pending'>
const rank: Readonly<Record<Settled, number>> = { disconnected: 0, acked: 1, nacked: 2 }

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
  /** What each sidecar has made of it, over all its streams: the worst of them, but a stream that is gone is none. */
  readonly #settled = new Map<string, Settled>()
  readonly #nacks = new Map<string, NackedSidecar>()
  readonly #open = new Map<string, StreamMark[]>()

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
      for (const mark of [...(this.#open.get(node) ?? [])]) answered = this.#note(mark, scope) || answered
    }
    return answered
  }

  report(): RevisionReport {
    const { revision } = this.#options
    const found = this.#found
    const counts = { acked: 0, nacked: 0, disconnected: 0 }
    const gone: string[] = []
    const nacks: NackedSidecar[] = []
    for (const [node, state] of this.#settled) {
      if (this.#open.has(node)) continue
      counts[state] += 1
      const nack = state === 'nacked' ? this.#nacks.get(node) : undefined
      if (nack !== undefined && nacks.length < listed) nacks.push(nack)
      if (state === 'disconnected' && gone.length < listed) gone.push(node)
    }
    return {
      state: found === 'ahead' || found === 'forgotten' ? found : 'applied',
      from: found instanceof RevisionRecord ? found.from : revision,
      to: found instanceof RevisionRecord ? found.to : revision,
      touched: counts.acked + counts.nacked + counts.disconnected + this.#open.size,
      ...counts,
      pending: this.#open.size,
      nacks,
      waiting: [...this.#open]
        .slice(0, listed)
        .map(([node, marks]) => ({ node, typeUrls: this.#unanswered(marks) })),
      gone,
    }
  }

  #begin(scope: RevisionScope, marks: readonly StreamMark[]): void {
    this.#scope = scope
    for (const mark of marks) this.#note(mark, scope)
  }

  /** True when it has answered. */
  #note(mark: StreamMark, scope: RevisionScope): boolean {
    const { node } = mark
    const answer = mark.answer(scope)
    const known = this.#open.get(node)
    if (answer.state === 'pending') {
      if (known === undefined) this.#open.set(node, [mark])
      else if (!known.includes(mark)) known.push(mark)
      return false
    }
    const left = known?.filter(other => other !== mark) ?? []
    if (left.length > 0) this.#open.set(node, left)
    else this.#open.delete(node)
    if (this.#found instanceof RevisionRecord && !this.#found.holds(mark)) return true
    const before = this.#settled.get(node)
    if (before === undefined || rank[answer.state] > rank[before]) this.#settled.set(node, answer.state)
    if (answer.state === 'nacked' && !this.#nacks.has(node)) this.#nacks.set(node, this.#nackOf(node, answer))
    return true
  }

  #unanswered(marks: readonly StreamMark[]): string[] {
    const scope = this.#scope
    if (scope === undefined) return []
    const answers = marks.map(mark => mark.answer(scope))
    return [...new Set(answers.flatMap(answer => (answer.state === 'pending' ? answer.typeUrls : [])))]
  }

  #nackOf(node: string, { typeUrl, refusal }: StreamAnswer & { readonly state: 'nacked' }): NackedSidecar {
    const at = Math.round(this.#options.epoch() + refusal.at)
    return { node, typeUrl, names: refusal.names.slice(0, namesListed), message: refusal.message, at }
  }
}
