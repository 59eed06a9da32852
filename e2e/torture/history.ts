/** What a torture run has seen, reduced to what can be checked. */

/** An instance or a document at one revision; `mark` is the operation that first wrote it so. */
export interface ItemState {
  /** That last changed it; of a document also its ETag. */
  readonly revision: number
  readonly mark: string
  /** The operation that has set the override; null: there is none. */
  readonly override: string | null
}

/** One change of the log. */
export interface LogEntry {
  /** `{service}/{id}` or, with a kind that begins with a capital, `{kind}/{name}`. */
  readonly key: string
  /** `rest:{operation}` where a client asked for it. */
  readonly actor: string
  readonly type: string
  readonly before: ItemState | null
  readonly after: ItemState | null
}

export interface LogRevision {
  readonly revision: number
  readonly changes: readonly LogEntry[]
}

interface Answered {
  /** HTTP status; null: nobody knows whether it took effect. */
  readonly status: number | null
  /** `X-Waymark-Revision` */
  readonly revision: number | null
}

interface Invoked {
  /** Unique; also the actor of the request. Of a line of a batch: its actor and its key, `{actor}/{key}`. */
  readonly id: string
  readonly client: string
  /** Milliseconds on one clock. */
  readonly invokedAt: number
  readonly completedAt: number
}

export interface InstanceWrite extends Invoked, Answered {
  readonly kind: 'register' | 'deregister' | 'override' | 'clear'
  readonly key: string
}

/** The version that a write of a document asks for; null: any, or none. */
export type Precondition = number | 'absent' | null

export interface DocumentWrite extends Invoked, Answered {
  readonly kind: 'apply' | 'delete'
  readonly key: string
  /** Of what is applied: its own id, or that of a write before which it repeats. */
  readonly mark: string
  readonly ifMatch: Precondition
  /** `ETag` of the answer. */
  readonly etag: number | null
}

export type WriteOperation = InstanceWrite | DocumentWrite

export interface BeatOperation extends Invoked, Answered {
  readonly kind: 'beat'
  readonly key: string
}

export interface ReadOperation extends Invoked, Answered {
  readonly kind: 'read'
  /** Services or kinds of documents: what keys begin with. */
  readonly groups: readonly string[]
  /** null: all of the groups. */
  readonly key: string | null
  /** `If-None-Match`: only if it is not this version. */
  readonly unless: number | null
  /** `?minRevision=`, or the index of a blocking query. */
  readonly minRevision: number | null
  /** Its client asks one replica only, or always names what it has seen: it must not go back. */
  readonly monotonic: boolean
  /** By key. */
  readonly seen: Readonly<Record<string, ItemState>>
}

export type Operation = WriteOperation | BeatOperation | ReadOperation

interface WatcherRecord {
  readonly name: string
  readonly sets: readonly LogRevision[]
}

export interface History {
  readonly operations: readonly Operation[]
  /** The whole log, as each replica tells it in the end. */
  readonly logs: readonly { readonly replica: string; readonly sets: readonly LogRevision[] }[]
  readonly watchers: readonly WatcherRecord[]
}

/** The rules that a history is checked by. */
export const rules = {
  gapless: 'revisions are 1, 2, 3, ... without gap or repetition, and no revision is empty',
  agreement: 'all replicas tell the same log',
  chain: 'the state before a change is the state after the change before it',
  attribution: 'every change that a client has asked for was asked for, and has happened once',
  lost: 'an acknowledged write is in the log, at the revision that its answer names',
  answer:
    'the answer to a write tells whether something was created, and the version of a document that came of it',
  precondition: 'a write that names the version to be replaced has replaced this one',
  refused:
    'a write that was refused has changed nothing, and had a reason to be refused at some moment meanwhile',
  realTime: 'a write is ordered after everything that was known when it was asked for',
  read: 'an answer shows the state of the revision that it names, or says that a version still holds if it does',
  minRevision: 'an answer is not older than it was asked to be',
  monotonic: 'what a client reads never goes back',
  watch: 'a watcher sees every revision exactly once, in order, as it is in the log',
} as const

export type Rule = keyof typeof rules

export interface Violation {
  readonly rule: Rule
  readonly detail: string
}
