import { Type, type Static } from 'typebox'
import { documentChangeTypes, instanceChangeTypes } from '../../domain/change.ts'
import { closed, define, nullable, RevisionNumber, Time } from './common.ts'
import type { Document } from './document.ts'
import type { Instance } from './instance.ts'

/** What changed, or how. */
const changeKinds: readonly string[] = [
  'instance',
  'document',
  ...instanceChangeTypes,
  ...documentChangeTypes,
]

const meta = {
  id: Type.String({ format: 'uuid', description: 'also the id of its event' }),
  revision: RevisionNumber,
  position: Type.Integer({ minimum: 0, description: 'its place within the revision' }),
  aggregateId: Type.String(),
  occurredAt: Time,
  actor: Type.String(),
  traceparent: nullable(Type.String()),
}
const orNull = <T>(schema: { readonly $ref: string }) =>
  Type.Unsafe<T | null>({ anyOf: [schema, { type: 'null' }] })

const InstanceChange = define(
  'InstanceChange',
  Type.Object(
    {
      ...meta,
      aggregateType: Type.Literal('instance'),
      type: Type.Enum([...instanceChangeTypes], { type: 'string' }),
      before: orNull<Static<typeof Instance>>({ $ref: 'Instance#' }),
      after: orNull<Static<typeof Instance>>({ $ref: 'Instance#' }),
    },
    closed,
  ),
)

const DocumentChange = define(
  'DocumentChange',
  Type.Object(
    {
      ...meta,
      aggregateType: Type.Literal('document'),
      type: Type.Enum([...documentChangeTypes], { type: 'string' }),
      before: orNull<Static<typeof Document>>({ $ref: 'Document#' }),
      after: orNull<Static<typeof Document>>({ $ref: 'Document#' }),
    },
    closed,
  ),
)
export type ChangeView = Static<typeof InstanceChange.schema> | Static<typeof DocumentChange.schema>

const ChangeSetSchema = define(
  'ChangeSet',
  Type.Object(
    {
      revision: RevisionNumber,
      changes: Type.Array(Type.Unsafe<ChangeView>({ anyOf: [InstanceChange.ref, DocumentChange.ref] })),
    },
    { ...closed, description: 'all changes of one write' },
  ),
)
export type ChangeSetView = Static<typeof ChangeSetSchema.schema>

const ChangePageSchema = define(
  'ChangePage',
  Type.Object(
    {
      head: { ...RevisionNumber, description: 'the newest revision of the log' },
      next: { ...RevisionNumber, description: 'what to give as after for the next page' },
      sets: Type.Array(ChangeSetSchema.ref),
    },
    closed,
  ),
)
export type ChangePageView = Static<typeof ChangePageSchema.schema>
export const ChangePage = ChangePageSchema.ref

export const ChangesQuery = Type.Object(
  {
    after: Type.Optional({
      ...RevisionNumber,
      default: 0,
      description: 'a revision: the page begins after it',
    }),
    limit: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 1_000,
        default: 100,
        description: 'at most this many revisions: an integer from 1 to 1000',
      }),
    ),
  },
  closed,
)

export const WatchQuery = Type.Object(
  {
    services: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 8_192,
        pattern: '^[a-z0-9.-]+(,[a-z0-9.-]+)*$',
        description: 'service names joined by commas; absent: everything',
      }),
    ),
    kinds: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 512,
        pattern: `^(${changeKinds.join('|')})(,(${changeKinds.join('|')}))*$`.replaceAll('.', '\\.'),
        description: `kinds of changes joined by commas: ${changeKinds.join(', ')}; absent: all`,
      }),
    ),
    from: Type.Optional({
      ...RevisionNumber,
      description: 'a revision: changes after it are sent first; absent: only what changes from now on',
    }),
  },
  closed,
)
export const WatchHeaders = Type.Object({
  'last-event-id': Type.Optional(
    Type.String({
      pattern: '^[0-9]{1,15}$',
      description: 'the id of the last event seen; goes before from',
    }),
  ),
})

export const namedChangeSchemas = [InstanceChange, DocumentChange, ChangeSetSchema, ChangePageSchema]
