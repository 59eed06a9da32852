import { Type, type Static } from 'typebox'
import { closed, define, DurationText, nullable, RevisionNumber, Time } from './common.ts'

const count = Type.Integer({ minimum: 0 })
const where = { node: Type.String(), replica: Type.String() }

const RevisionSidecarsSchema = define(
  'RevisionSidecars',
  Type.Object(
    {
      revision: RevisionNumber,
      complete: Type.Boolean({
        description: 'every replica has answered and nobody is pending; false: the time is over before that',
      }),
      touched: { ...count, description: 'sidecars that want something that the revision may have changed' },
      acked: { ...count, description: 'those that have it, or a later state that replaced it' },
      nacked: { ...count, description: 'those that have refused something of it' },
      pending: { ...count, description: 'those that have not answered yet' },
      disconnected: { ...count, description: 'those whose stream ended before they had answered' },
      nacks: Type.Array(
        Type.Object(
          {
            ...where,
            typeUrl: Type.String(),
            names: Type.Array(Type.String(), { description: 'at most 10' }),
            message: Type.String({ description: "Envoy's words" }),
            at: Time,
          },
          closed,
        ),
        { description: 'the first 20' },
      ),
      waiting: Type.Array(
        Type.Object(
          {
            ...where,
            typeUrls: Type.Array(Type.String(), { description: 'what has not been answered' }),
          },
          closed,
        ),
        { description: 'the first 20 that are pending' },
      ),
      gone: Type.Array(Type.Object(where, closed), { description: 'the first 20 that are disconnected' }),
      replicas: Type.Array(
        Type.Object(
          {
            replica: Type.String(),
            state: Type.Enum(['applied', 'ahead', 'forgotten', 'silent'], {
              type: 'string',
              description:
                'applied: its sidecars are counted; ahead: it has not applied the revision yet; forgotten: the ' +
                'revision is too old to know whom it touched, only who may still be behind it is counted; ' +
                'silent: it has not answered',
            }),
            from: nullable({ ...RevisionNumber, description: 'revisions that it applied in one step with' }),
            to: nullable({
              ...RevisionNumber,
              description: 'this one are counted together: the first, the last',
            }),
          },
          closed,
        ),
      ),
    },
    closed,
  ),
)
export type RevisionSidecarsView = Static<typeof RevisionSidecarsSchema.schema>
export const RevisionSidecars = RevisionSidecarsSchema.ref

/** What every write takes, heartbeats aside. */
export const ackedQuery = {
  wait: Type.Optional(
    Type.Enum(['acked'], {
      type: 'string',
      description: 'acked: the answer waits until every sidecar that the write touches has answered',
    }),
  ),
  timeout: Type.Optional({
    ...DurationText,
    description: 'how long wait=acked may wait: a duration from 0s to 30s, by default 5s',
  }),
}
export const AckedQuery = Type.Object(ackedQuery, closed)

/** What an answer to a write has besides, with wait=acked. */
export const ackedAnswer = { sidecars: Type.Optional(RevisionSidecars) }

/** The answer to a removal with wait=acked. */
const RemovedSchema = define('Removed', Type.Object({ sidecars: RevisionSidecars }, closed))
export const Removed = RemovedSchema.ref

export const RevisionParams = Type.Object({ revision: RevisionNumber }, closed)

export const namedRevisionSidecarsSchemas = [RevisionSidecarsSchema, RemovedSchema]
