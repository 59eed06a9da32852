import { HealthStatus } from '@envoyproxy/protos/envoy/config/core/v3/health_check.ts'
import { ClusterLoadAssignment } from '@envoyproxy/protos/envoy/config/endpoint/v3/endpoint.ts'
import { LocalityLbEndpoints } from '@envoyproxy/protos/envoy/config/endpoint/v3/endpoint_components.ts'
import { socketAddress } from './address.ts'
import { distinctEndpoints, type EndpointInput } from './endpoints.ts'

/**
 * How weights of instances reach a gRPC client. `locality`: for round robin, which takes all endpoints of a locality
 * alike, but localities by weight. `endpoint`: for ring hash, which knows weights of endpoints.
 */
export type GrpcWeighting = 'locality' | 'endpoint'

const ringSuffix = '/_ring'

/** What a cluster asks EDS for. */
export const grpcEndpointsName = (service: string, weighting: GrpcWeighting): string =>
  weighting === 'locality' ? service : `${service}${ringSuffix}`

/** The reverse of `grpcEndpointsName`. */
export const parseGrpcEndpointsName = (name: string): { service: string; weighting: GrpcWeighting } =>
  name.endsWith(ringSuffix)
    ? { service: name.slice(0, -ringSuffix.length), weighting: 'endpoint' }
    : { service: name, weighting: 'locality' }

interface GrpcEndpointsInput {
  readonly service: string
  readonly endpoints: Iterable<EndpointInput>
  readonly weighting: GrpcWeighting
  /** Percent. If fewer of the instances that are not leaving work, calls go to all of them; 0: never. */
  readonly panicThreshold: number
}

const weightOf = ({ weight }: EndpointInput) => Math.max(1, Math.round(weight))

/** The instances of each priority; none is empty. A gRPC client goes to the second when the first cannot be reached. */
const priorities = ({ endpoints, panicThreshold }: GrpcEndpointsInput): EndpointInput[][] => {
  const staying = distinctEndpoints(endpoints).filter(({ health }) => health !== 'DRAINING')
  const working = staying.filter(({ health }) => health !== 'UNHEALTHY')
  if (working.length * 100 < panicThreshold * staying.length) return [staying]
  const degraded = working.filter(({ health }) => health === 'DEGRADED')
  const healthy = working.filter(({ health }) => health !== 'DEGRADED')
  return [healthy, degraded].filter(({ length }) => length > 0)
}

const lbEndpoint = (endpoint: EndpointInput, weight: number) => ({
  endpoint: { hostname: endpoint.id, address: socketAddress(endpoint.address, endpoint.port) },
  healthStatus: HealthStatus.HEALTHY,
  loadBalancingWeight: weight,
})

/** One for each region, zone and weight. */
const weightedLocalities = (endpoints: readonly EndpointInput[]): LocalityLbEndpoints[] => {
  const groups = Map.groupBy(endpoints, endpoint =>
    JSON.stringify([endpoint.locality.region, endpoint.locality.zone, weightOf(endpoint)]),
  )
  return [...groups.entries()]
    .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
    .flatMap(([, group]) => {
      const [first] = group
      if (first === undefined) return []
      const { region, zone } = first.locality
      const weight = weightOf(first)
      return LocalityLbEndpoints.fromPartial({
        locality: { region, zone, subZone: weight > 1 ? `weight-${weight}` : '' },
        loadBalancingWeight: weight * group.length,
        lbEndpoints: group.map(endpoint => lbEndpoint(endpoint, 1)),
      })
    })
}

/**
 * A single one, whatever the zones: some libraries multiply the weights of locality and endpoint, others share out
 * that of the locality (gRFC A113).
 */
const ring = (endpoints: readonly EndpointInput[]): LocalityLbEndpoints[] => [
  LocalityLbEndpoints.fromPartial({
    locality: {},
    loadBalancingWeight: 1,
    lbEndpoints: endpoints.map(endpoint => lbEndpoint(endpoint, weightOf(endpoint))),
  }),
]

/**
 * The endpoints of a service for gRPC clients: those that may be called, each address once. gRPC would not
 * call degraded ones at all; here they are what it falls back to. Equal sets give equal bytes.
 */
export const buildGrpcEndpoints = (input: GrpcEndpointsInput): ClusterLoadAssignment => {
  const localities = input.weighting === 'locality' ? weightedLocalities : ring
  return ClusterLoadAssignment.fromPartial({
    clusterName: grpcEndpointsName(input.service, input.weighting),
    endpoints: priorities(input).flatMap((endpoints, priority) =>
      localities(endpoints).map(locality => ({ ...locality, priority })),
    ),
  })
}
