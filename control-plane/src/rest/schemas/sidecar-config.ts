import { Type, type Static } from 'typebox'
import { closed, define, nullable, RevisionNumber, Time } from './common.ts'
import { stateQuery } from './read.ts'

/** The names of `?type=`, and the types that they mean. */
export const configTypes = {
  clusters: 'envoy.config.cluster.v3.Cluster',
  endpoints: 'envoy.config.endpoint.v3.ClusterLoadAssignment',
  listeners: 'envoy.config.listener.v3.Listener',
  routes: 'envoy.config.route.v3.RouteConfiguration',
  virtualHosts: 'envoy.config.route.v3.VirtualHost',
  secrets: 'envoy.extensions.transport_sockets.tls.v3.Secret',
} as const
export type ConfigType = keyof typeof configTypes

const ConfigResource = Type.Object(
  {
    typeUrl: Type.String(),
    name: Type.String(),
    version: nullable({ ...Type.String(), description: 'null: it has none' }),
    revision: nullable({
      ...RevisionNumber,
      description: 'at which this replica last saw it change; null: unknown, as with at',
    }),
    config: Type.Unsafe<Record<string, unknown> | null>({
      type: ['object', 'null'],
      additionalProperties: true,
      description:
        'protobuf JSON with typed configs resolved, private keys as [redacted]; null: it has none, or one of an ' +
        'earlier stream whose bytes are not known any more',
    }),
  },
  closed,
)
export type ConfigResourceView = Static<typeof ConfigResource>

const SidecarConfigSchema = define(
  'SidecarConfig',
  Type.Object(
    {
      node: Type.String(),
      replica: Type.String({ description: 'the replica that serves it' }),
      revision: { ...RevisionNumber, description: 'of the mesh state of that replica, or the one of at' },
      at: Time,
      state: Type.Enum(['acked', 'wanted'], { type: 'string' }),
      resources: Type.Array(ConfigResource),
    },
    closed,
  ),
)
export type SidecarConfigView = Static<typeof SidecarConfigSchema.schema>
export const SidecarConfig = SidecarConfigSchema.ref

export const SidecarConfigQuery = Type.Object(
  {
    ...stateQuery,
    type: Type.Optional(
      Type.Enum(Object.keys(configTypes) as ConfigType[], {
        type: 'string',
        description: `one of ${Object.keys(configTypes).join(', ')}`,
      }),
    ),
    name: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 512,
        description: 'the name of a resource, 1 to 512 characters',
      }),
    ),
    state: Type.Optional(
      Type.Enum(['acked', 'wanted'], {
        type: 'string',
        description: 'acked (the default): what it has; wanted (the default with at): what it should have',
      }),
    ),
  },
  closed,
)

export const namedSidecarConfigSchemas = [SidecarConfigSchema]
