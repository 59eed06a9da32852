import { Type, type Static } from 'typebox'
import { sidecarStates, type SidecarState } from '../sidecar-state.ts'
import {
  closed,
  InstanceId,
  define,
  line,
  nullable,
  readQuery,
  RevisionNumber,
  ServiceName,
  Time,
} from './common.ts'

const count = Type.Integer({ minimum: 0 })

const State = Type.Enum([...sidecarStates], {
  type: 'string',
  description: `one of ${sidecarStates.join(', ')}, from worst to best`,
})

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
  state: State,
  since: { ...Time, description: 'since when it is in this state' },
  replica: Type.String({ description: 'the replica that serves it, or served it last' }),
  agent: Type.String(),
  address: Type.String({ description: 'where its replica sees it: address and port' }),
  connectedAt: Time,
  disconnectedAt: nullable({ ...Time, description: 'when its last stream ended; null: it is connected' }),
  heardAt: { ...Time, description: 'when its last message came' },
  seenAt: { ...Time, description: 'when its replica last wrote this down' },
  syncedRevision: { ...RevisionNumber, description: 'all that touches it up to here is sent and ACKed' },
  answeredRevision: { ...RevisionNumber, description: 'the same, ACKed or NACKed' },
  inSync: Type.Boolean(),
  types: Type.Array(TypeState),
  nacks: Type.Array(Nack),
  duplicate: Type.Boolean({ description: 'several clients that are alive call themselves so' }),
  rivals: Type.Array(
    Type.Object({ replica: Type.String(), address: Type.String(), connectedAt: Time }, closed),
    { description: 'the other clients of this name' },
  ),
}

const SidecarSchema = define('Sidecar', Type.Object(sidecar, closed))
export type SidecarView = Static<typeof SidecarSchema.schema>

const SidecarListSchema = define(
  'SidecarList',
  Type.Object(
    {
      revision: RevisionNumber,
      at: { ...Time, description: 'when this answer was made, by the clock of this replica' },
      states: Type.Object(
        Object.fromEntries(sidecarStates.map(state => [state, count])) as Record<SidecarState, typeof count>,
        {
          ...closed,
          description: 'how many are in each state, of those of the service and replica that were asked for',
        },
      ),
      missing: Type.Array(Type.String(), {
        description: 'replicas of whose sidecars nothing can be told while the database cannot be asked',
      }),
      next: nullable(Type.String({ description: 'the next page: ?after=; null: this is the last' })),
      sidecars: Type.Array(SidecarSchema.ref, { description: 'worst first, then by node' }),
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
        description: 'null: the replica that serves it cannot be asked, or none does',
      }),
    },
    closed,
  ),
)
export type SidecarDetailView = Static<typeof SidecarDetailSchema.schema>
export const SidecarDetail = SidecarDetailSchema.ref

export const SidecarQuery = Type.Object(readQuery, closed)
export const SidecarListQuery = Type.Object(
  {
    ...readQuery,
    state: Type.Optional(
      Type.String({
        pattern: `^(${sidecarStates.join('|')})(,(${sidecarStates.join('|')}))*$`,
        maxLength: 100,
        description: `states joined by commas: ${sidecarStates.join(', ')}`,
      }),
    ),
    service: Type.Optional(ServiceName),
    replica: Type.Optional(line('a replica', 200)),
    limit: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 1_000, description: 'how many, from 1 to 1000; by default 500' }),
    ),
    after: Type.Optional(
      Type.String({ pattern: '^[0-9]:.{1,401}$', description: 'the "next" of the page before' }),
    ),
  },
  closed,
)
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
