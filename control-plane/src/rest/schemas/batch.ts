import { Type, type Static } from 'typebox'
import {
  closed,
  define,
  DurationText,
  Incarnation,
  InstanceId,
  RevisionNumber,
  ServiceName,
} from './common.ts'
import type { ProblemView } from './problem.ts'
import { registrationFields } from './registration.ts'

const subject = { service: ServiceName, id: InstanceId }

export const RegisterLine = Type.Object(
  {
    op: Type.Optional(
      Type.Literal('register', { type: 'string', description: '"register" (the default) or "deregister"' }),
    ),
    ...subject,
    ...registrationFields,
  },
  {
    ...closed,
    description:
      'a registration with service and id: an object of which service, id, address and port are required',
  },
)
export type RegisterLine = Static<typeof RegisterLine>

export const DeregisterLine = Type.Object(
  {
    op: Type.Literal('deregister', { type: 'string' }),
    ...subject,
    incarnation: Type.Optional(Incarnation),
    drain: Type.Optional({
      ...DurationText,
      description: 'a duration from 0s to 24h: first draining for this long, then gone; 0s: gone at once',
    }),
  },
  {
    ...closed,
    description: 'an object with op "deregister", service, id, and perhaps incarnation and drain',
  },
)
export type DeregisterLine = Static<typeof DeregisterLine>

const BatchLineSchema = define('BatchLine', Type.Union([RegisterLine, DeregisterLine]))
/** One line of what `POST /instances:batch` takes. */
export const BatchLine = BatchLineSchema.ref

const BatchResultSchema = define(
  'BatchResult',
  Type.Object(
    {
      line: Type.Integer({ minimum: 1, description: 'which line this answers, counted from 1' }),
      status: Type.Integer({
        description: 'as the same request on its own would be answered: 200, 201, 204, 400 …',
      }),
      changed: Type.Optional(Type.Boolean({ description: 'false: it was as wanted already' })),
      revision: Type.Optional({
        ...RevisionNumber,
        description: 'the revision that last changed the instance',
      }),
      incarnation: Type.Optional(Incarnation),
      problem: Type.Optional(Type.Unsafe<ProblemView>({ $ref: 'Problem#' })),
    },
    closed,
  ),
)
/** One line of its answer. */
export const BatchResult = BatchResultSchema.ref
export type BatchResultView = Static<typeof BatchResultSchema.schema>

export const BatchQuery = Type.Object({}, { ...closed, description: 'no parameters' })

export const namedBatchSchemas = [BatchLineSchema, BatchResultSchema]
