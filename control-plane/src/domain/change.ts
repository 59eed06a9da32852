import type { Document } from './document.ts'
import type { Instance } from './instance.ts'
import type { Revision } from './revision.ts'

export const instanceChangeTypes = [
  'instance.registered',
  'instance.updated',
  'instance.health',
  'instance.draining',
  'instance.deregistered',
] as const
export const documentChangeTypes = ['document.applied', 'document.deleted'] as const
export type InstanceChangeType = (typeof instanceChangeTypes)[number]
export type DocumentChangeType = (typeof documentChangeTypes)[number]
export type ChangeType = InstanceChangeType | DocumentChangeType

export interface ChangeMeta {
  /** UUID v7; the CloudEvents id. */
  readonly id: string
  readonly revision: Revision
  /** 0-based place within its revision. */
  readonly position: number
  /** ISO 8601, Postgres time. */
  readonly occurredAt: string
  /** Who asked for the write: `rest`, `sweeper`, `checks`, ... */
  readonly actor: string
  readonly traceparent: string | null
}

export interface InstanceChange extends ChangeMeta {
  readonly aggregateType: 'instance'
  /** `{service}/{id}` */
  readonly aggregateId: string
  readonly type: InstanceChangeType
  readonly before: Instance | null
  /** null: removed. */
  readonly after: Instance | null
}

export interface DocumentChange extends ChangeMeta {
  readonly aggregateType: 'document'
  /** `{kind}/{name}` */
  readonly aggregateId: string
  readonly type: DocumentChangeType
  readonly before: Document | null
  readonly after: Document | null
}

/** One entry of the log: what became of one aggregate at one revision. */
export type Change = InstanceChange | DocumentChange

/** All changes of one write. Readers apply it whole or not at all. */
export interface ChangeSet {
  readonly revision: Revision
  readonly changes: readonly Change[]
}

/** What an aggregate was before its first change after some revision; `before` null: there was none. */
export type FormerState = Pick<Change, 'aggregateType' | 'aggregateId' | 'before'>
