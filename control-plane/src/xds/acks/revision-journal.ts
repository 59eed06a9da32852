import type { Revision } from '../../domain/revision.ts'
import type { MarkHolder, RevisionScope, StreamMark } from './stream-mark.ts'

/** Tells streams of changes little by little; `settle` tells all of them now. */
interface Settling {
  settle(): void
}

/** Revisions that were applied together, what of them streams want, and those streams. */
export class RevisionRecord implements RevisionScope, MarkHolder {
  readonly serial: number
  readonly #marks: StreamMark[] = []
  #dropped: Set<StreamMark> | undefined
  readonly #names = new Map<string, Set<string>>()
  #from: Revision = 0
  #to: Revision = 0
  #weight = 0
  /** Streams that may be touched after it has been closed. */
  #awaited = 0
  #later: Settling | undefined

  constructor(serial: number) {
    this.serial = serial
  }

  /** The first and the last of its revisions. */
  get from(): Revision {
    return this.#from
  }

  get to(): Revision {
    return this.#to
  }

  /** References that it holds. */
  get weight(): number {
    return this.#weight + this.#marks.length + this.#awaited
  }

  /** The streams that it touches. */
  get marks(): StreamMark[] {
    return this.#dropped === undefined ? this.#marks : this.#marks.filter(mark => this.holds(mark))
  }

  get empty(): boolean {
    return this.#marks.length === 0 && this.#awaited === 0
  }

  /** False when the stream had it already; `mark` was one of `marks` once. */
  holds(mark: StreamMark): boolean {
    return this.#dropped?.has(mark) !== true
  }

  hold(mark: StreamMark): void {
    if (this.#dropped?.delete(mark) !== true) this.#marks.push(mark)
  }

  /** `later` holds all that it touches and that are not known yet, `count` at most. */
  await(count: number, later: Settling): void {
    this.#awaited += count
    this.#later = later
  }

  /** As `hold`, one of those awaited: its weight has been counted already. */
  holdAwaited(mark: StreamMark): void {
    this.hold(mark)
    this.#awaited = Math.max(0, this.#awaited - 1)
  }

  /** From now on all that it touches are known. */
  settle(): void {
    this.#later?.settle()
    this.#later = undefined
  }

  drop(mark: StreamMark): void {
    this.#dropped ??= new Set()
    this.#dropped.add(mark)
  }

  add(typeUrl: string, name: string): void {
    let names = this.#names.get(typeUrl)
    if (names === undefined) this.#names.set(typeUrl, (names = new Set()))
    names.add(name)
  }

  close(from: Revision, to: Revision): void {
    this.#from = from
    this.#to = to
    for (const { size } of this.#names.values()) this.#weight += size
  }

  names(typeUrl: string): ReadonlySet<string> | undefined {
    return this.#names.get(typeUrl)
  }
}

export interface JournalLimits {
  readonly maxRecords: number
  /** References to streams and names, over all records. */
  readonly maxWeight: number
}

const defaultLimits: JournalLimits = { maxRecords: 4_096, maxWeight: 262_144 }

/** `ahead`: not applied yet. `nobody`: no stream wanted any of it. `forgotten`: it was too long ago. */
export type Found = RevisionRecord | 'ahead' | 'nobody' | 'forgotten'

/**
 * Which recent revisions touched which streams: a bounded ring. Noting a touched stream is one comparison and one
 * reference; a stream that turns out to have the same already is taken out again. Whether it has answered is read from the stream itself when somebody asks.
 */
export class RevisionJournal {
  readonly #limits: JournalLimits
  /** Oldest first, in order of their revisions, which do not overlap. */
  #records: RevisionRecord[] = []
  #weight = 0
  #open = new RevisionRecord(0)
  #lastType = ''
  #lastName = ''
  /** All up to here has been applied. */
  #head: Revision
  /** All up to here has been forgotten. */
  #forgotten: Revision = 0

  /** `head`: what has been applied before any stream came. */
  constructor(options: { readonly head: Revision; readonly limits?: Partial<JournalLimits> }) {
    this.#head = options.head
    this.#limits = { ...defaultLimits, ...options.limits }
  }

  get head(): Revision {
    return this.#head
  }

  /**
   * The resource has changed in the step that is being applied, and streams want it that are told later: `count` at
   * most. `later` tells them. Returns the record to give to `touchLater`.
   */
  hold(what: { typeUrl: string; name: string; count: number; later: Settling }): RevisionRecord {
    this.#open.add(what.typeUrl, what.name)
    this.#open.await(what.count, what.later)
    return this.#open
  }

  /** One of those has been told. */
  touchLater(mark: StreamMark, record: RevisionRecord): void {
    if (mark.touch(record)) record.holdAwaited(mark)
  }

  /** The resource has changed in the step that is being applied, and this stream wants it. */
  touch(mark: StreamMark, typeUrl: string, name: string): void {
    const open = this.#open
    if (mark.touch(open)) open.hold(mark)
    if (name === this.#lastName && typeUrl === this.#lastType) return
    this.#lastName = name
    this.#lastType = typeUrl
    open.add(typeUrl, name)
  }

  /** All up to `revision` has been applied. What was touched without a new revision is nobody's write: not kept. */
  close(revision: Revision): void {
    const record = this.#open
    const from = this.#head + 1
    this.#head = Math.max(this.#head, revision)
    if (record.empty) return
    this.#lastName = this.#lastType = ''
    this.#open = new RevisionRecord(record.serial + 1)
    if (revision < from) return
    record.close(from, revision)
    this.#records.push(record)
    this.#weight += record.weight
    if (this.#records.length > this.#limits.maxRecords || this.#weight > this.#limits.maxWeight)
      this.#forget()
  }

  find(revision: Revision): Found {
    if (revision > this.#head) return 'ahead'
    if (revision <= this.#forgotten) return 'forgotten'
    let low = 0
    let high = this.#records.length
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.#records[middle]?.to ?? Infinity) < revision) low = middle + 1
      else high = middle
    }
    const record = this.#records[low]
    if (record === undefined || record.from > revision) return 'nobody'
    record.settle()
    return record
  }

  /** A quarter at a time, so that forgetting costs each record O(1). The last one stays, whatever its weight. */
  #forget(): void {
    const { maxRecords, maxWeight } = this.#limits
    let count = 0
    for (const { weight, to } of this.#records.slice(0, -1)) {
      const left = this.#records.length - count
      if (left <= (maxRecords * 3) / 4 && this.#weight <= (maxWeight * 3) / 4) break
      this.#weight -= weight
      this.#forgotten = to
      count += 1
    }
    this.#records = this.#records.slice(count)
  }
}
