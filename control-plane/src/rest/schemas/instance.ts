import { Type, type Static } from 'typebox'
import { errorCatalogue, type ErrorCode } from '../../domain/errors.ts'
import { verdicts } from '../../domain/verdict.ts'
import {
  closed,
  DurationText,
  Incarnation,
  InstanceId,
  line,
  define,
  nullable,
  RevisionNumber,
  ServiceName,
  Time,
} from './common.ts'
import { listHead, listQuery, partialList, stateQuery } from './read.ts'
import { registrationFields } from './registration.ts'
import { ackedAnswer, ackedQuery, Removed } from './revision-sidecars.ts'

const Verdict = Type.Enum([...verdicts], { type: 'string', description: `one of ${verdicts.join(', ')}` })
const EvidenceStatus = Type.Enum(['passing', 'warning', 'critical'], {
  type: 'string',
  description: '"passing", "warning" or "critical"',
})

const Evidence = define(
  'Evidence',
  Type.Object(
    {
      source: Type.String({
        description:
          'lease, report, traffic, check:N (the Nth check of the registration, from 0) or service-check:N (of the Service document)',
      }),
      observer: Type.String(),
      status: EvidenceStatus,
      output: Type.String({ description: 'what was seen, in words' }),
      observedAt: { ...Time, description: 'when this status was last confirmed, as far as freshness says' },
      validUntil: nullable({
        ...Time,
        description: 'after this it says nothing; null: valid until replaced',
      }),
      since: { ...Time, description: 'since when the source has said this status' },
    },
    closed,
  ),
)

const Override = define(
  'Override',
  Type.Object(
    {
      status: Type.Enum(['maintenance', 'draining'], { type: 'string' }),
      reason: Type.String(),
      leaving: Type.Boolean({ description: 'the instance itself leaves; false: an operator said so' }),
      actor: Type.String(),
      since: Time,
      expiresAt: nullable({ ...Time, description: 'when it ends by itself; null: when it is taken back' }),
    },
    closed,
  ),
)

const Flapping = define(
  'Flapping',
  Type.Object(
    {
      verdict: Type.Enum(['degraded', 'unhealthy'], {
        type: 'string',
        description: 'the instance is held at this, whatever better its evidence says',
      }),
      since: Time,
      until: { ...Time, description: 'when it is let go, unless its evidence changes its mind again' },
    },
    closed,
  ),
)

/** A field of a registration as an answer has it: always there. */
const present = <T>(field: object) => Type.Unsafe<T>({ ...field })

const { address, port, version, weight, metadata, locality, lease, checks, sidecar } = registrationFields

/** The registration with every default filled in, and what the registry knows about it. */
const InstanceSchema = define(
  'Instance',
  Type.Object(
    {
      service: ServiceName,
      id: InstanceId,
      incarnation: { ...Incarnation, description: 'grows with every registration under this id' },
      verdict: Verdict,
      address,
      port,
      version: present<string | null>(version),
      weight: present<number>(weight),
      metadata: present<Record<string, string>>(metadata),
      locality: present<{ region: string; zone: string }>(locality),
      lease: present<Static<typeof lease>>(lease),
      checks: present<NonNullable<Static<typeof checks>>>(checks),
      sidecar: present<{ port: number } | null>(sidecar),
      override: Type.Unsafe<Static<typeof Override.schema> | null>({
        anyOf: [Override.ref, { type: 'null' }],
      }),
      flapping: Type.Unsafe<Static<typeof Flapping.schema> | null>({
        anyOf: [Flapping.ref, { type: 'null' }],
        description: 'its verdict has changed too often; null: it is not held',
      }),
      evidence: Type.Array(Evidence.ref),
      removeAt: nullable({ ...Time, description: 'when a draining or expired instance is removed' }),
      registeredAt: Time,
      revision: { ...RevisionNumber, description: 'the revision that last changed it' },
    },
    closed,
  ),
)

/** What an instance's answers and changes carry. */
export type InstanceView = Static<typeof InstanceSchema.schema>
export const Instance = InstanceSchema.ref

const WrittenInstanceSchema = define(
  'WrittenInstance',
  Type.Object({ ...InstanceSchema.schema.properties, ...ackedAnswer }, closed),
)
/** The answer to a write. */
export const WrittenInstance = WrittenInstanceSchema.ref
export type WrittenInstanceView = Static<typeof WrittenInstanceSchema.schema>
/** The draining instance, or what sidecars have made of its removal. */
export const DeregisterAnswer = Type.Union([WrittenInstance, Removed])

const InstanceDetailSchema = define(
  'InstanceDetail',
  Type.Object(
    {
      ...InstanceSchema.schema.properties,
      freshness: Type.Enum(['live', 'log'], {
        type: 'string',
        description:
          'live: evidence was confirmed as late as observedAt says; log: at least then (the database was not asked)',
      }),
    },
    closed,
  ),
)
export const InstanceDetail = InstanceDetailSchema.ref
export type InstanceDetailView = Static<typeof InstanceDetailSchema.schema>

const InstanceListSchema = define(
  'InstanceList',
  Type.Object({ ...listHead, service: ServiceName, instances: Type.Array(Instance) }, closed),
)
export type InstanceListView = Static<typeof InstanceListSchema.schema>
const PartialInstanceList = partialList(
  'PartialInstanceList',
  { instances: Type.Object(InstanceSchema.schema.properties) },
  { service: ServiceName },
)
/** Whole, or with the fields that were asked for. */
export const InstanceList = Type.Union([InstanceListSchema.ref, PartialInstanceList.ref])
export const instanceFields = Object.keys(InstanceSchema.schema.properties)

const ServiceSummarySchema = define(
  'ServiceSummary',
  Type.Object(
    {
      name: ServiceName,
      instances: Type.Integer({ minimum: 0 }),
      verdicts: Type.Object(
        Object.fromEntries(verdicts.map(verdict => [verdict, Type.Integer({ minimum: 0 })])) as Record<
          (typeof verdicts)[number],
          ReturnType<typeof Type.Integer>
        >,
        closed,
      ),
      document: nullable({ ...RevisionNumber, description: 'revision of its Service document; null: none' }),
    },
    closed,
  ),
)
export type ServiceSummaryView = Static<typeof ServiceSummarySchema.schema>
export const ServiceSummary = ServiceSummarySchema.ref

const ServiceListSchema = define(
  'ServiceList',
  Type.Object({ ...listHead, services: Type.Array(ServiceSummary) }, closed),
)
export type ServiceListView = Static<typeof ServiceListSchema.schema>
const PartialServiceList = partialList('PartialServiceList', {
  services: Type.Object(ServiceSummarySchema.schema.properties),
})
export const ServiceList = Type.Union([ServiceListSchema.ref, PartialServiceList.ref])
export const serviceFields = Object.keys(ServiceSummarySchema.schema.properties)

const heartbeat = {
  incarnation: Type.Optional(Incarnation),
  status: Type.Optional(EvidenceStatus),
  output: Type.Optional(
    Type.String({ maxLength: 1_024, description: 'what is wrong: up to 1024 characters; needs a status' }),
  ),
}

const Heartbeat = Type.Object(heartbeat, {
  ...closed,
  description: 'an object with incarnation, status and output, all of them optional',
})

/** A beat may come without a body. */
export const HeartbeatBody = nullable(Heartbeat)

/** Beats of many instances: an agent has one for each that runs beside it. */
export const HeartbeatsBody = Type.Object(
  {
    beats: Type.Array(Type.Object({ service: ServiceName, id: InstanceId, ...heartbeat }, closed), {
      minItems: 1,
      maxItems: 1_000,
      description: '1 to 1000 beats: objects with service, id, and perhaps incarnation, status and output',
    }),
  },
  { ...closed, description: 'an object with beats' },
)

const HeartbeatsAnswerSchema = define(
  'HeartbeatsAnswer',
  Type.Object(
    {
      accepted: Type.Integer({ minimum: 0, description: 'beats that count' }),
      refused: Type.Array(
        Type.Object(
          {
            index: Type.Integer({ minimum: 0, description: 'which beat, counted from 0' }),
            code: Type.Enum(Object.keys(errorCatalogue) as ErrorCode[], { type: 'string' }),
            detail: Type.String(),
          },
          closed,
        ),
      ),
    },
    closed,
  ),
)
export const HeartbeatsAnswer = HeartbeatsAnswerSchema.ref
export type HeartbeatsAnswerView = Static<typeof HeartbeatsAnswerSchema.schema>

export const OverrideBody = Type.Object(
  {
    status: Type.Enum(['maintenance', 'draining', 'none'], {
      type: 'string',
      description: '"maintenance", "draining" or "none"',
    }),
    reason: Type.Optional(line('a reason', 256)),
    ttl: Type.Optional({
      ...DurationText,
      description: 'how long it stands: a duration from 1s to 8760h; not together with expiresAt',
    }),
    expiresAt: Type.Optional({
      ...Time,
      description: 'when it ends by itself: a time that is still to come (ISO 8601 with a zone)',
    }),
  },
  { ...closed, description: 'an object with status, reason and ttl or expiresAt' },
)

export const DeregisterQuery = Type.Object(
  {
    drain: Type.Optional({
      ...DurationText,
      description: 'a duration from 0s to 24h: first draining for this long, then gone; 0s: gone at once',
    }),
    incarnation: Type.Optional(Incarnation),
    ...ackedQuery,
  },
  closed,
)

/** `metadata.k=v` filters are further properties by pattern. */
export const InstanceFilters = Type.Unsafe<
  { health?: string; zone?: string; version?: string } & Static<typeof ListQuery> &
    Partial<Record<`metadata.${string}`, string>>
>({
  type: 'object',
  properties: {
    ...listQuery,
    health: Type.String({
      pattern: `^(${verdicts.join('|')})(,(${verdicts.join('|')}))*$`,
      maxLength: 100,
      description: `verdicts joined by commas: ${verdicts.join(', ')}`,
    }),
    zone: line('a zone', 63),
    version: line('a version', 63),
  },
  description: `the parameters health, zone, version, metadata.{key}, ${Object.keys(listQuery).join(', ')}`,
  patternProperties: { '^metadata\\..{1,63}$': line('a metadata value', 512) },
  additionalProperties: false,
})

export const StateQuery = Type.Object(stateQuery, closed)
export const ListQuery = Type.Object(listQuery, closed)

export const namedInstanceSchemas = [
  HeartbeatsAnswerSchema,
  Evidence,
  Override,
  Flapping,
  InstanceSchema,
  WrittenInstanceSchema,
  InstanceDetailSchema,
  InstanceListSchema,
  PartialInstanceList,
  ServiceSummarySchema,
  ServiceListSchema,
  PartialServiceList,
]
