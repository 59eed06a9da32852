import type { Revision } from '../../domain/revision.ts'
import type { Delivery } from '../subscription/delivery.ts'
import type { Refusal } from '../subscription/refusals.ts'

/** What of a type on a stream tells whether a revision has been answered. */
export type Answering = Pick<Delivery, 'typeUrl' | 'behindSince' | 'refusals' | 'changed' | 'unanswered'>

/** What is asked for: everything up to `to`, of these names only. */
export interface RevisionScope {
  readonly to: Revision
  /** undefined: nothing of this type. */
  names(typeUrl: string): ReadonlySet<string> | 'all' | undefined
}

/** What one sidecar has made of a revision. `typeUrls`: of what it has not answered yet. */
export type StreamAnswer =
  | { readonly state: 'acked' }
  | { readonly state: 'disconnected' }
  | { readonly state: 'pending'; readonly typeUrls: readonly string[] }
  | { readonly state: 'nacked'; readonly typeUrl: string; readonly refusal: Refusal }

/** A record that holds marks. */
export interface MarkHolder {
  readonly serial: number
  /** The mark's stream has what the record is about already. */
  drop(mark: StreamMark): void
}

const acked: StreamAnswer = { state: 'acked' }
const disconnected: StreamAnswer = { state: 'disconnected' }

/**
 * A stream as the revisions that touched it remember it. It outlives the stream, so it lets go of everything but
 * the node's name and how far the stream had come when it ended.
 */
export class StreamMark {
  readonly node: string
  /** The serial number of the last record that holds this mark: each holds it once. */
  #touchedBy = -1
  /** The record that holds this mark since its stream was last flushed. */
  #touching: MarkHolder | undefined
  #deliveries: (() => readonly Answering[]) | undefined
  #behindAtEnd: Revision | undefined
  #refusedAtEnd: readonly (readonly [string, Refusal])[] = []

  constructor(options: { readonly node: string; readonly deliveries: () => readonly Answering[] }) {
    this.node = options.node
    this.#deliveries = options.deliveries
  }

  /** False: this record holds it already. */
  touch(holder: MarkHolder): boolean {
    if (this.#touchedBy === holder.serial) return false
    this.#touchedBy = holder.serial
    this.#touching = holder
    return true
  }

  /** The stream has been touched and not flushed since. */
  get undecided(): boolean {
    return this.#touching !== undefined
  }

  /** The stream has written what it could. `sent`: it had something to write, or has still. */
  flushed(sent: boolean): void {
    if (!sent && this.#touching !== undefined) {
      this.#touching.drop(this)
      this.#touchedBy = -1
    }
    this.#touching = undefined
  }

  /** The stream has ended; call it while its deliveries can still be read. */
  end(): void {
    for (const { behindSince, typeUrl, refusals } of this.#deliveries?.() ?? []) {
      if (behindSince !== undefined) this.#behindAtEnd = Math.min(this.#behindAtEnd ?? Infinity, behindSince)
      if (refusals.length > 0) {
        this.#refusedAtEnd = [...this.#refusedAtEnd, ...refusals.map(refusal => [typeUrl, refusal] as const)]
      }
    }
    this.#deliveries = undefined
    this.#touching = undefined
  }

  /**
   * A newer state counts: what has overtaken the revision and is ACKed has ACKed it too, and what was equal to
   * what the sidecar had needs no answer. A type that has been behind since before the revision may hold a name
   * of it `pending` a little longer than needed, never shorter.
   */
  answer(scope: RevisionScope): StreamAnswer {
    if (this.#deliveries === undefined) return this.#answerAtEnd(scope)
    const pending: string[] = []
    for (const delivery of this.#deliveries()) {
      const { typeUrl, behindSince, refusals } = delivery
      const names = scope.names(typeUrl)
      if (names === undefined) continue
      const waits = behindSince !== undefined && behindSince <= scope.to && waitsFor(delivery, names)
      const refusal = refusals.find(one => isAbout(one, names, scope))
      // Of a response with several resources each is tried alone first.
      if (refusal !== undefined && (refusal.names.length === 1 || !waits)) {
        return { state: 'nacked', typeUrl, refusal }
      }
      if (waits) pending.push(typeUrl)
    }
    return pending.length === 0 ? acked : { state: 'pending', typeUrls: pending }
  }

  #answerAtEnd(scope: RevisionScope): StreamAnswer {
    for (const [typeUrl, refusal] of this.#refusedAtEnd) {
      const names = scope.names(typeUrl)
      if (names !== undefined && isAbout(refusal, names, scope)) return { state: 'nacked', typeUrl, refusal }
    }
    return this.#behindAtEnd !== undefined && this.#behindAtEnd <= scope.to ? disconnected : acked
  }
}

const isAbout = (refusal: Refusal, names: ReadonlySet<string> | 'all', { to }: RevisionScope): boolean =>
  refusal.revision <= to && (names === 'all' || refusal.names.some(name => names.has(name)))

const waitsFor = ({ changed, unanswered }: Answering, names: ReadonlySet<string> | 'all'): boolean => {
  if (names === 'all') return true
  for (const name of changed.keys()) if (names.has(name)) return true
  if (unanswered.size === 0) return false
  for (const name of unanswered.names()) if (names.has(name)) return true
  return false
}
