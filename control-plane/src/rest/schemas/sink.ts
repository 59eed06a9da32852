import { Type, type Static } from 'typebox'
import { closed, define, nullable, RevisionNumber, Time } from './common.ts'

const count = Type.Integer({ minimum: 0 })
const sinkName = Type.String({
  pattern: '^[a-z](?:[a-z0-9-]{0,38}[a-z0-9])?$',
  description: 'the name of a sink: up to 40 lower-case letters, digits and "-"',
})

export const SinkParams = Type.Object({ sink: sinkName }, closed)
export const ParkedParams = Type.Object(
  { sink: sinkName, id: Type.String({ format: 'uuid', description: 'the id of an event: a UUID' }) },
  closed,
)
export const EventTypeParams = Type.Object(
  {
    type: Type.String({
      pattern: '^(?:io\\.waymark\\.)?[a-z]{1,20}\\.[a-z]{1,20}$',
      description: 'a type of event, with or without "io.waymark."',
    }),
  },
  closed,
)

export const ReplayBody = Type.Object(
  {
    from: Type.Unsafe<number | 'oldest'>({
      anyOf: [{ type: 'integer', minimum: 1, maximum: Number.MAX_SAFE_INTEGER }, { const: 'oldest' }],
      description: 'a revision from 1 on, or "oldest"',
    }),
  },
  { ...closed, description: 'an object with the field from' },
)

export const ParkedQuery = Type.Object(
  {
    after: Type.Optional(
      Type.String({
        pattern: '^[0-9]{1,15}\\.[0-9]{1,9}$',
        description: 'where the page before ended, as its "next" said',
      }),
    ),
    limit: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 1_000, description: 'an integer from 1 to 1000, by default 100' }),
    ),
  },
  closed,
)

export const ParkedOfQuery = Type.Object(
  {
    aggregate: Type.String({
      pattern: '^(?:instance|document)/[^/]{1,300}/[^/]{1,300}$',
      description: 'whose events: instance/{service}/{id} or document/{kind}/{name}',
    }),
  },
  closed,
)
export const Dropped = Type.Object({ dropped: { ...count, description: 'events given up' } }, closed)
export type DroppedView = Static<typeof Dropped>

const SinkSchema = define(
  'Sink',
  Type.Object(
    {
      sink: Type.String(),
      kind: Type.String({ description: 'webhook, kafka, nats, file, stdout; unknown of an orphaned one' }),
      origin: Type.Enum(['configuration', 'document'], { type: 'string' }),
      revision: { ...RevisionNumber, description: 'everything up to here is delivered or parked' },
      head: { ...RevisionNumber, description: 'of the log' },
      lag: { ...count, description: 'revisions that wait' },
      lagMs: { ...count, description: 'how long the oldest of them has waited (milliseconds)' },
      parked: { ...count, description: 'events set aside after their last attempt' },
      paused: nullable(Type.Object({ since: Time, by: Type.String() }, closed)),
      compacted: Type.Boolean({ description: 'the log no longer has what comes next' }),
      gap: nullable(
        Type.Object(
          {
            deliveredTo: { ...RevisionNumber, description: 'the sink had everything up to here' },
            resumesAfter: { ...RevisionNumber, description: 'and was never given what follows, up to here' },
            reason: Type.Enum(['compacted', 'restored'], { type: 'string' }),
            at: Time,
          },
          { ...closed, description: 'the last time that the log did not continue where the sink was' },
        ),
      ),
      orphaned: Type.Boolean({ description: 'no replica has it in its configuration any more' }),
      error: nullable(Type.String({ description: 'why the last delivery failed' })),
      owner: nullable(Type.String({ description: 'the replica that delivers' })),
    },
    closed,
  ),
)
export type SinkView = Static<typeof SinkSchema.schema>
export const Sink = SinkSchema.ref

export const SinkList = Type.Object({ sinks: Type.Array(Sink) }, closed)
export type SinkListView = Static<typeof SinkList>

const parkedEvent = Type.Object(
  {
    id: Type.String({ format: 'uuid' }),
    revision: RevisionNumber,
    position: count,
    aggregateType: Type.String(),
    aggregateId: Type.String(),
    error: Type.String({ description: 'what the sink said' }),
    attempts: { ...count, description: '0: it waits behind an earlier one of its aggregate' },
    parkedAt: Time,
    event: Type.Unknown({ description: 'the CloudEvent' }),
  },
  closed,
)
export const ParkedList = Type.Object(
  {
    parked: Type.Array(parkedEvent),
    next: nullable(Type.String({ description: 'for ?after=; null: there is no more' })),
  },
  closed,
)
export type ParkedListView = Static<typeof ParkedList>

export const Replayed = Type.Object(
  { from: { ...RevisionNumber, description: 'the first revision that is delivered again' } },
  closed,
)
export type ReplayedView = Static<typeof Replayed>

export const EventTypeList = Type.Object(
  { types: Type.Array(Type.Object({ type: Type.String(), schema: Type.Unknown() }, closed)) },
  closed,
)
export const EventSchema = Type.Object({}, { additionalProperties: true, description: 'JSON Schema 2020-12' })

export const namedSinkSchemas = [SinkSchema]
