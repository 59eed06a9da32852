import { Type, type Static } from 'typebox'
import {
  closed,
  InstanceId,
  define,
  nullable,
  readQuery,
  RevisionNumber,
  ServiceName,
  Time,
} from './common.ts'

const count = Type.Integer({ minimum: 0 })

const TypeState = Type.Object(
  {
    typeUrl: Type.String(),
    wildcard: Type.Boolean(),
    subscribed: { ...count, description: 'names subscribed one by one' },
    sent: count,
    acked: count,
    waiting: { ...count, description: 'changed, but not sent yet' },
    unansweredSince: nullable({ ...Time, description: 'of the oldest response without an answer' }),
  },
  closed,
)

const Nack = Type.Object(
  {
    typeUrl: Type.String(),
    names: Type.Array(Type.String()),
    version: Type.String(),
    revision: { ...RevisionNumber, description: 'of the refused response' },
    message: Type.String({ description: "Envoy's words" }),
    at: Time,
  },
  closed,
)

const sidecar = {
  node: Type.String({ description: '{service}/{instance}' }),
  replica: Type.String({ description: 'the replica that serves it' }),
  agent: Type.String(),
  connectedAt: Time,
  seenAt: { ...Time, description: 'when its replica last wrote this down' },
  syncedRevision: { ...RevisionNumber, description: 'all that touches it up to here is sent and ACKed' },
  answeredRevision: { ...RevisionNumber, description: 'the same, ACKed or NACKed' },
  inSync: Type.Boolean(),
  types: Type.Array(TypeState),
  nacks: Type.Array(Nack),
}

const SidecarSchema = define('Sidecar', Type.Object(sidecar, closed))
export type SidecarView = Static<typeof SidecarSchema.schema>

const SidecarListSchema = define(
  'SidecarList',
  Type.Object(
    {
      revision: RevisionNumber,
      at: { ...Time, description: 'when this answer was made, by the clock of this replica' },
      sidecars: Type.Array(SidecarSchema.ref),
    },
    closed,
  ),
)
export type SidecarListView = Static<typeof SidecarListSchema.schema>
export const SidecarList = SidecarListSchema.ref

const ResourceState = Type.Object(
  {
    typeUrl: Type.String(),
    name: Type.String(),
    sentVersion: nullable(Type.String()),
    ackedVersion: nullable(Type.String()),
    revision: nullable(RevisionNumber),
    nack: nullable(Type.Object({ version: Type.String(), message: Type.String(), at: Time }, closed)),
  },
  closed,
)

const SidecarDetailSchema = define(
  'SidecarDetail',
  Type.Object(
    {
      ...sidecar,
      revision: RevisionNumber,
      at: Time,
      resources: Type.Unsafe<Static<typeof ResourceState>[] | null>({
        type: ['array', 'null'],
        items: ResourceState,
        description: 'null: another replica serves this sidecar',
      }),
    },
    closed,
  ),
)
export type SidecarDetailView = Static<typeof SidecarDetailSchema.schema>
export const SidecarDetail = SidecarDetailSchema.ref

export const SidecarQuery = Type.Object(readQuery, closed)
export const NodeParams = Type.Object(
  {
    node: Type.String({
      minLength: 1,
      maxLength: 401,
      pattern: '^[^\\u0000-\\u001f\\u007f]+$',
      description: 'a node id: {service}/{instance}, the slash also as %2F',
    }),
  },
  closed,
)
export const NodePathParams = Type.Object({ service: ServiceName, id: InstanceId }, closed)

export const namedSidecarSchemas = [SidecarSchema, SidecarListSchema, SidecarDetailSchema]
