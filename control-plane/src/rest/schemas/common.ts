import { durationAccepted, durationPattern } from '@waymark/sidecar-config/model/duration.ts'
import { nullable, textRecord } from '@waymark/sidecar-config/model/json-schema.ts'
import { Type, type Static, type TSchema } from 'typebox'
import { serviceNameMaxLength, serviceNamePattern, instanceIdPattern } from '../../domain/service-name.ts'

/**
 * Conventions of the schemas: every object is closed, and the `description` of a value says what is accepted,
 * in words that also fit an error ("accepted: a duration such as 500ms, 15s or 10m").
 */
export const closed = { additionalProperties: false } as const

export { nullable, textRecord }

/** A schema that OpenAPI knows by its name; its users refer to it by `ref`. */
export const define = <T extends TSchema>(name: string, schema: T) => ({
  schema: { ...schema, $id: name },
  ref: Type.Unsafe<Static<T>>({ $ref: `${name}#` }),
})

export const ServiceName = Type.String({
  maxLength: serviceNameMaxLength,
  pattern: serviceNamePattern,
  description:
    'a service name: one or more DNS labels (lower-case letters, digits, hyphens) joined by dots, at most ' +
    '200 characters, the last label not "mesh"',
})

export const InstanceId = Type.String({
  maxLength: 200,
  pattern: instanceIdPattern,
  description:
    'an instance id: letters, digits, "-", "_" and ".", beginning and ending with a letter or digit, at most ' +
    '200 characters',
})

export const Port = Type.Integer({ minimum: 1, maximum: 65_535, description: 'a port from 1 to 65535' })

export const RevisionNumber = Type.Integer({
  minimum: 0,
  maximum: Number.MAX_SAFE_INTEGER,
  description: 'a revision: an integer from 0 on',
})

export const Incarnation = Type.Integer({
  minimum: 1,
  maximum: Number.MAX_SAFE_INTEGER,
  description: 'an incarnation, as a registration returned it',
})

export const DurationText = Type.String({
  maxLength: 32,
  pattern: durationPattern,
  description: `a duration: ${durationAccepted}`,
})

export const Time = Type.String({ format: 'date-time', description: 'ISO 8601, UTC' })

/** Text of one line; what Postgres's jsonb cannot hold (NUL, lone surrogates) is excluded with the controls. */
export const line = (what: string, maxLength: number, minLength = 0) =>
  Type.String({
    minLength,
    maxLength,
    pattern: '^[^\\u0000-\\u001f\\u007f\\ud800-\\udfff]*$',
    description: `${what}: up to ${maxLength} characters without control characters`,
  })

/** An answer without a body; OpenAPI then describes none. */
export const noBody = (description: string) => Type.Null({ description })

export const ServiceParams = Type.Object({ service: ServiceName }, closed)
export const InstanceParams = Type.Object({ service: ServiceName, id: InstanceId }, closed)

/** Read by `etag.ts`; header schemas stay open. */
export const CachedHeaders = Type.Object({
  'if-none-match': Type.Optional(Type.String({ description: 'an ETag: answer 304 if it still holds' })),
})

/** What every read takes. */
export const readQuery = {
  minRevision: Type.Optional({
    ...RevisionNumber,
    description: 'a revision: the answer waits until this replica has applied it (read your writes)',
  }),
  index: Type.Optional({
    ...RevisionNumber,
    description: 'a revision: the answer waits until it may differ from the answer at that revision',
  }),
  wait: Type.Optional({
    ...DurationText,
    description: 'how long minRevision or index may wait: a duration from 0s to 30s, by default 5s',
  }),
}
