import { HealthStatus } from '@envoyproxy/protos/envoy/config/core/v3/health_check.ts'
import { ClusterLoadAssignment } from '@envoyproxy/protos/envoy/config/endpoint/v3/endpoint.ts'
import { LocalityLbEndpoints } from '@envoyproxy/protos/envoy/config/endpoint/v3/endpoint_components.ts'
import { socketAddress } from './address.ts'
import { distinctEndpoints, type EndpointInput } from './endpoints.ts'

/**
 * How weights of instances reach a gRPC client. `locality`: for round robin, which takes all endpoints of a locality
 * alike, but localities by weight. `endpoint`: for ring hash, which takes locality times endpoint.
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

export interface GrpcEndpointsInput {
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

/** One per region, zone and weight for round robin, one per region and zone for ring hash. */
const localities = (endpoints: readonly EndpointInput[], weighting: GrpcWeighting): LocalityLbEndpoints[] => {
  const groups = Map.groupBy(endpoints, endpoint =>
    JSON.stringify([
      endpoint.locality.region,
      endpoint.locality.zone,
      weighting === 'locality' ? weightOf(endpoint) : 0,
    ]),
  )
  return [...groups.entries()]
    .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
    .flatMap(([, group]) => {
      const [first] = group
      if (first === undefined) return []
      const { region, zone } = first.locality
      const weight = weightOf(first)
      return LocalityLbEndpoints.fromPartial({
        locality: { region, zone, subZone: weighting === 'locality' && weight > 1 ? `weight-${weight}` : '' },
        loadBalancingWeight: weighting === 'locality' ? weight * group.length : 1,
        lbEndpoints: group.map(endpoint => ({
          endpoint: { hostname: endpoint.id, address: socketAddress(endpoint.address, endpoint.port) },
          healthStatus: HealthStatus.HEALTHY,
          loadBalancingWeight: weighting === 'locality' ? 1 : weightOf(endpoint),
        })),
      })
    })
}

/**
 * The endpoints of a service for gRPC clients: those that may be called, each address once. gRPC would not
 * call degraded ones at all; here they are what it falls back to. Equal sets give equal bytes.
 */
export const buildGrpcEndpoints = (input: GrpcEndpointsInput): ClusterLoadAssignment =>
  ClusterLoadAssignment.fromPartial({
    clusterName: grpcEndpointsName(input.service, input.weighting),
    endpoints: priorities(input).flatMap((endpoints, priority) =>
      localities(endpoints, input.weighting).map(locality => ({ ...locality, priority })),
    ),
  })
