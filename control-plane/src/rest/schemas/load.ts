import { Type, type Static } from 'typebox'
import { closed, define, nullable, Time } from './common.ts'

const count = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })

const Counts = Type.Object(
  {
    issued: { ...count, description: 'requests sent, retries too; not those whose connection failed' },
    succeeded: { ...count, description: 'answered below 500' },
    failed: { ...count, description: '5xx, reset, timeout or failed connection' },
    inProgress: { ...count, description: 'under way at the last report' },
  },
  closed,
)
export type CountsView = Static<typeof Counts>

const Metrics = Type.Unsafe<Record<string, { count: number; sum: number }>>({
  type: 'object',
  description: 'ORCA metrics of the last report that had any, by name',
  additionalProperties: Type.Object({ count, sum: Type.Number() }, closed),
})

const load = {
  total: { ...Counts, description: 'since the reporter came, or came back after a long silence' },
  last: { ...Counts, description: 'of the last report' },
}

const EndpointLoad = Type.Object(
  {
    address: Type.String(),
    instance: nullable({
      ...Type.String(),
      description: '{service}/{instance}; null: nobody has this address',
    }),
    ...load,
    metrics: Metrics,
    reportedAt: Time,
  },
  closed,
)

const ReporterLoad = Type.Object(
  {
    replica: Type.String({ description: 'the replica that was told' }),
    since: Time,
    reportedAt: Time,
    interval: Type.String({ description: 'what the last report covers' }),
    reports: count,
    clusters: Type.Array(
      Type.Object(
        {
          cluster: Type.String(),
          total: load.total,
          dropped: { ...count, description: 'by the load balancer, before they were sent' },
          endpoints: Type.Array(EndpointLoad),
        },
        closed,
      ),
    ),
  },
  closed,
)

const unreachable = Type.Array(Type.String(), {
  description: 'replicas that could not be asked: what was reported to them is missing',
})

const SidecarLoadSchema = define(
  'SidecarLoad',
  Type.Object({ node: Type.String(), at: Time, unreachable, replicas: Type.Array(ReporterLoad) }, closed),
)
export type SidecarLoadView = Static<typeof SidecarLoadSchema.schema>
export const SidecarLoad = SidecarLoadSchema.ref

const InstanceReporter = Type.Object(
  {
    node: Type.String({ description: 'the sidecar that reports' }),
    zone: Type.String(),
    replica: Type.String({ description: 'the replica that was told' }),
    cluster: Type.String(),
    ...load,
    metrics: Metrics,
    reportedAt: Time,
  },
  closed,
)
export type InstanceReporterView = Static<typeof InstanceReporter>

const InstanceLoad = Type.Object(
  {
    id: nullable({ ...Type.String(), description: 'null: no instance of the service has this address' }),
    address: Type.String(),
    ...load,
    reporterCount: count,
    reporters: Type.Array(InstanceReporter, {
      description: 'those with most failures and requests first; of many only the first',
    }),
  },
  closed,
)
export type InstanceLoadView = Static<typeof InstanceLoad>

const ServiceLoadSchema = define(
  'ServiceLoad',
  Type.Object({ service: Type.String(), at: Time, unreachable, instances: Type.Array(InstanceLoad) }, closed),
)
export type ServiceLoadView = Static<typeof ServiceLoadSchema.schema>
export const ServiceLoad = ServiceLoadSchema.ref

export const LoadQuery = Type.Object({}, closed)

export const namedLoadSchemas = [SidecarLoadSchema, ServiceLoadSchema]
