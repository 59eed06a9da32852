/** JSON Schema 2020-12 of the `data` of each type of event: what consumers may rely on. Fields may be added to any object. */

type Schema = Readonly<Record<string, unknown>>

const version = 1
const time = { type: 'string', format: 'date-time' } as const
const text = { type: 'string' } as const
const orNull = (schema: Schema): Schema => ({ anyOf: [schema, { type: 'null' }] })
const object = (properties: Readonly<Record<string, Schema>>): Schema => ({
  type: 'object',
  properties,
  required: Object.keys(properties),
})
const texts = { type: 'object', additionalProperties: text } as const
const integer = (minimum: number): Schema => ({ type: 'integer', minimum })
const port = { type: 'integer', minimum: 1, maximum: 65_535 } as const
const milliseconds = { ...integer(0), description: 'milliseconds' }

const spec = object({
  address: { ...text, description: 'an IP address' },
  port,
  version: orNull(text),
  weight: { type: 'integer', minimum: 1, maximum: 1_000 },
  metadata: texts,
  locality: object({ region: text, zone: text }),
  lease: orNull(object({ ttlMs: milliseconds, deregisterAfterMs: orNull(milliseconds) })),
  checks: { type: 'array', items: object({ kind: text, intervalMs: milliseconds, timeoutMs: milliseconds }) },
  sidecar: orNull(object({ port })),
})

const evidence = object({
  source: { ...text, description: 'where it comes from: lease, report, traffic, check:0, ...' },
  observer: { ...text, description: 'who saw it' },
  status: { enum: ['passing', 'warning', 'critical'] },
  output: text,
  observedAt: time,
  validUntil: orNull(time),
  since: time,
})

const override = object({
  status: { enum: ['maintenance', 'draining'] },
  reason: text,
  actor: text,
  since: time,
})

const instance = object({
  service: text,
  id: text,
  incarnation: integer(1),
  spec,
  verdict: { enum: ['healthy', 'degraded', 'unhealthy', 'draining', 'maintenance', 'unknown'] },
  evidence: { type: 'array', items: evidence },
  override: orNull(override),
  removeAt: orNull({ ...time, description: 'when a draining or expired instance is removed' }),
  registeredAt: time,
  revision: integer(1),
})

const document = object({
  kind: text,
  name: text,
  spec: { type: 'object', description: 'docs/reference/documents.md' },
  revision: integer(1),
})

const nothing = { type: 'null' } as const

interface Described {
  readonly title: string
  readonly data: Schema
}

const change = (title: string, before: Schema, after: Schema): Described => ({
  title,
  data: object({ before, after }),
})

const described: Readonly<Record<string, Described>> = {
  'instance.registered': change('An instance is new', nothing, instance),
  'instance.updated': change('An instance was registered otherwise', instance, instance),
  'instance.health': change('The evidence or the verdict of an instance has changed', instance, instance),
  'instance.draining': change('An instance is leaving', instance, instance),
  'instance.deregistered': change('An instance is gone', instance, nothing),
  'document.applied': change('A document is new or has changed', orNull(document), document),
  'document.deleted': change('A document was deleted', document, nothing),
  'log.discontinued': {
    title: 'The log does not continue where the sink was',
    data: object({
      deliveredTo: { ...integer(0), description: 'the revision up to which the sink had everything' },
      resumesAfter: { ...integer(0), description: 'what comes next is later than this revision' },
      reason: { enum: ['compacted', 'restored'] },
    }),
  },
}

/** The attribute `dataschema`: an absolute URI (spec.md, "dataschema"), the same on every replica. */
export const schemaUrn = (type: string): string => `urn:waymark:event:${type}:${version}`

/** Types of events without their prefix `io.waymark.`. */
export const eventTypes: readonly string[] = Object.keys(described)

/** The schema of the `data` of one type; undefined: there is no such type. */
export const eventSchema = (type: string): Schema | undefined => {
  const found = Object.hasOwn(described, type) ? described[type] : undefined
  if (found === undefined) return undefined
  const { title, data } = found
  return { $schema: 'https://json-schema.org/draft/2020-12/schema', $id: schemaUrn(type), title, ...data }
}
