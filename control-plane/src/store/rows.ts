/** Between rows and domain values. Timestamps are ISO 8601 in UTC with milliseconds on both sides. */
import type { Change, ChangeSet, ChangeType } from '../domain/change.ts'
import type { Document } from '../domain/document.ts'
import type { Evidence } from '../domain/evidence.ts'
import type { Flapping } from '../domain/flapping.ts'
import type { Instance, InstanceSpec } from '../domain/instance.ts'
import type { Override, Verdict } from '../domain/verdict.ts'

type Time = Date | string

/** Postgres's text of a time in UTC, which is what every session here speaks: `2026-11-21 15:23:15.356789+00`. */
const postgresTime = /^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)(?:(\.\d{1,3})\d*)?\+00$/

const iso = (time: Time): string => {
  const text = typeof time === 'string' ? postgresTime.exec(time) : null
  if (text === null) return new Date(time).toISOString()
  // Joined, since what a template makes stays a chain of its parts: 150 bytes more for each instance of the mesh.
  return [text[1], 'T', text[2], (text[3] ?? '.').padEnd(4, '0'), 'Z'].join('')
}

/** A row of `instance`, from kysely or from json_agg (numbers and strings differ). */
export interface InstanceRow {
  readonly service: string
  readonly id: string
  readonly incarnation: number | string
  readonly spec: InstanceSpec
  readonly verdict: string
  readonly evidence: readonly Evidence[]
  readonly override: Override | null
  readonly remove_at: Time | null
  readonly registered_at: Time
  readonly revision: number | string
  readonly flapping: Flapping | null
  readonly review_at: Time | null
}

/** One that was written before overrides could end has no such field. */
const completeOverride = (override: Override | null): Override | null =>
  override === null ? null : { ...override, expiresAt: (override as Partial<Override>).expiresAt ?? null }

export const toInstance = (row: InstanceRow): Instance => ({
  service: row.service,
  id: row.id,
  incarnation: Number(row.incarnation),
  spec: row.spec,
  verdict: row.verdict as Verdict,
  evidence: row.evidence,
  override: completeOverride(row.override),
  flapping: row.flapping,
  reviewAt: row.review_at === null ? null : iso(row.review_at),
  removeAt: row.remove_at === null ? null : iso(row.remove_at),
  registeredAt: iso(row.registered_at),
  revision: Number(row.revision),
})

export interface DocumentRow {
  readonly kind: string
  readonly name: string
  readonly spec: unknown
  readonly revision: number | string
}

export const toDocument = (row: DocumentRow): Document => ({
  kind: row.kind,
  name: row.name,
  spec: row.spec,
  revision: Number(row.revision),
})

export interface ChangeRow {
  readonly id: string
  readonly aggregatetype: string
  readonly aggregateid: string
  readonly type: string
  readonly payload: { before: unknown; after: unknown }
  readonly revision: string
  readonly position: number
  readonly occurred_at: Date
  readonly actor: string
  readonly traceparent: string | null
}

/** What an older version has written into the log has fewer fields. */
export const completeInstance = (instance: unknown): unknown =>
  instance === null || typeof instance !== 'object'
    ? instance
    : {
        flapping: null,
        reviewAt: null,
        ...instance,
        override: completeOverride((instance as Pick<Instance, 'override'>).override),
      }

const toChange = (row: ChangeRow): Change => {
  // The payload is what putInstance and putDocument wrote: domain values as JSON.
  const complete = row.aggregatetype === 'instance' ? completeInstance : (state: unknown) => state
  const change = {
    id: row.id,
    revision: Number(row.revision),
    position: row.position,
    occurredAt: iso(row.occurred_at),
    actor: row.actor,
    traceparent: row.traceparent,
    aggregateType: row.aggregatetype,
    aggregateId: row.aggregateid,
    type: row.type as ChangeType,
    before: complete(row.payload.before),
    after: complete(row.payload.after),
  }
  return change as Change
}

/** Groups rows that are sorted by revision and position. */
export const toChangeSets = (rows: readonly ChangeRow[]): ChangeSet[] => {
  const sets: { revision: number; changes: Change[] }[] = []
  for (const row of rows) {
    const change = toChange(row)
    const last = sets.at(-1)
    if (last?.revision === change.revision) last.changes.push(change)
    else sets.push({ revision: change.revision, changes: [change] })
  }
  return sets
}
