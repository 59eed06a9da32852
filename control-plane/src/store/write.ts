import type { DocumentChangeType, InstanceChangeType } from '../domain/change.ts'
import type { Document } from '../domain/document.ts'
import type { Instance } from '../domain/instance.ts'
import type { Revision } from '../domain/revision.ts'

/** Rows that a write wants to see before it decides; named up front so that a batch reads them all at once. */
export type Touch =
  | {
      readonly kind: 'instance'
      readonly service: string
      readonly id: string
      /** Its lease as well. */
      readonly lease?: boolean
    }
  | { readonly kind: 'document'; readonly documentKind: string; readonly name: string }

/** What a lease row says, by Postgres's clock. */
export interface LeaseRow {
  readonly incarnation: number
  readonly ttlMs: number
  /** Milliseconds since the epoch. */
  readonly seenAt: number
}

/** What a write sees and may change. All of it happens, or nothing. */
export interface Draft {
  /** Postgres time, milliseconds since the epoch. */
  readonly now: number
  /** The same as ISO 8601. */
  readonly time: string
  /** The revision that this write gets if it changes something. */
  readonly revision: Revision
  instance(service: string, id: string): Instance | undefined
  /** The lease of an instance that was touched with it; undefined also after a crash of Postgres. */
  lease(service: string, id: string): LeaseRow | undefined
  document(kind: string, name: string): Document | undefined
  /** A number greater than every incarnation given out before. */
  nextIncarnation(): number
  /** Writes the row (with this draft's revision) and one change. */
  putInstance(instance: Instance, type: InstanceChangeType): Instance
  /** Writes the row without a change: for what the log does not carry (incarnation). */
  amendInstance(instance: Instance): void
  removeInstance(instance: Instance): void
  /** Starts or renews the lease of an instance as of now. */
  beat(instance: Instance): void
  putDocument(document: Document, type: DocumentChangeType): Document
  removeDocument(document: Document): void
}

/** One request that changes something: atomic, whatever it touches. */
export interface Write<R> {
  readonly touches: readonly Touch[]
  /** Who asks; kept with each change. At most 200 characters. */
  readonly actor: string
  /** W3C `traceparent` of the request, if any. */
  readonly traceparent: string | null
  /** Only while this replica owns the role with this fence; else FencedError. */
  readonly fence?: { readonly role: string; readonly fence: number }
  /**
   * Decides from the draft and changes it. Pure; may run more than once (the draft of a failed attempt is
   * thrown away). Throws WaymarkError to refuse: then nothing of this write happens, and its batch goes on.
   */
  decide(draft: Draft): R
}

/** What has become of a write. */
export type Settled<R> = { readonly committed: Committed<R> } | { readonly error: Error }

/** A write that has been committed. */
export interface Committed<R> {
  readonly result: R
  /** Its own revision, or the log's head when it changed nothing. */
  readonly revision: Revision
  readonly changed: boolean
}

/** Fenced work by a replica that is not, or no longer, the owner. */
export class FencedError extends Error {
  override readonly name = 'FencedError'

  constructor(role: string, fence: number) {
    super(`fence ${fence} of role ${role} is not the current one`)
  }
}
