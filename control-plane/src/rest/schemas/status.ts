import { Type, type Static } from 'typebox'
import { capabilities } from '../../domain/mode.ts'
import { closed, define, nullable, RevisionNumber, Time } from './common.ts'

const count = Type.Integer({ minimum: 0 })

const ModeSchema = Type.Object(
  {
    capability: Type.Enum([...capabilities], { type: 'string' }),
    mode: Type.Enum(['target', 'degraded', 'floor', 'recovery'], { type: 'string' }),
    since: Time,
    evidence: Type.String({ description: 'what was seen' }),
    endsWhen: nullable(Type.String({ description: 'null in target' })),
  },
  closed,
)

const Replica = Type.Object(
  { id: Type.String(), startedAt: Time, seenAt: Time, http: Type.String(), xds: Type.String() },
  closed,
)
const Sink = Type.Object(
  {
    sink: Type.String(),
    revision: { ...RevisionNumber, description: 'everything up to here is delivered or parked' },
    lag: { ...count, description: 'revisions that wait' },
    lagMs: { ...count, description: 'how long the oldest of them has waited (milliseconds)' },
    parked: count,
    paused: Type.Boolean(),
    compacted: { ...Type.Boolean(), description: 'the log no longer has what comes next' },
    orphaned: { ...Type.Boolean(), description: 'no replica has it in its configuration any more' },
    error: nullable(Type.String()),
  },
  closed,
)
const SelfPreservation = Type.Object(
  { active: Type.Boolean(), since: nullable(Time), leased: count, due: count },
  { ...closed, description: 'null: no sweep has been seen yet' },
)
const listOrNull = <T>(items: object) =>
  Type.Unsafe<T[] | null>({
    type: ['array', 'null'],
    items,
    description: 'null while the database cannot be asked',
  })

const StatusSchema = define(
  'Status',
  Type.Object(
    {
      replica: Type.String(),
      startedAt: Time,
      at: Time,
      ready: { ...Type.Boolean(), description: 'the mesh state has loaded' },
      revision: { ...RevisionNumber, description: 'what this replica has applied' },
      head: nullable({
        ...RevisionNumber,
        description: 'of the log; null while the database cannot be asked',
      }),
      lag: nullable({ ...count, description: 'revisions that this replica is behind' }),
      modes: Type.Array(ModeSchema),
      streams: { ...count, description: 'xDS streams of this replica' },
      watchers: Type.Object(
        {
          open: count,
          closedSlow: { ...count, description: 'closed since the start because they did not read' },
        },
        { ...closed, description: 'server-sent event streams of this replica' },
      ),
      replicas: listOrNull<Static<typeof Replica>>(Replica),
      sinks: listOrNull<Static<typeof Sink>>(Sink),
      selfPreservation: nullable(SelfPreservation),
    },
    closed,
  ),
)
export type StatusView = Static<typeof StatusSchema.schema>
export const Status = StatusSchema.ref

export const namedStatusSchemas = [StatusSchema]
