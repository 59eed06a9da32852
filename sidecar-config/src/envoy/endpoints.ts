import { HealthStatus } from '@envoyproxy/protos/envoy/config/core/v3/health_check.ts'
import { ClusterLoadAssignment } from '@envoyproxy/protos/envoy/config/endpoint/v3/endpoint.ts'
import { socketAddress } from './address.ts'

export type EndpointHealth = 'HEALTHY' | 'DEGRADED' | 'UNHEALTHY' | 'DRAINING' | 'UNKNOWN'

export interface EndpointInput {
  /** The id of the instance; shown by Envoy's `/clusters` as the host name. */
  readonly id: string
  /** An IP address. */
  readonly address: string
  readonly port: number
  /** Taken as at least 1, which Envoy demands. */
  readonly weight: number
  readonly health: EndpointHealth
  readonly locality: { readonly region: string; readonly zone: string }
}

export interface EndpointsInput {
  readonly service: string
  readonly endpoints: Iterable<EndpointInput>
}

/** Of two instances with one address the better one speaks for it: the other one is what was there before. */
const preference: readonly EndpointHealth[] = ['HEALTHY', 'UNKNOWN', 'DEGRADED', 'DRAINING', 'UNHEALTHY']

const compareText = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0)

const compare = (a: EndpointInput, b: EndpointInput) =>
  compareText(a.address, b.address) ||
  a.port - b.port ||
  preference.indexOf(a.health) - preference.indexOf(b.health) ||
  compareText(a.id, b.id)

const compareLocality = ({ locality: a }: EndpointInput, { locality: b }: EndpointInput) =>
  compareText(a.region, b.region) || compareText(a.zone, b.zone)

/** Envoy makes one host of equal addresses and does not say which, so only one of them is sent. */
export const distinctEndpoints = (endpoints: Iterable<EndpointInput>): EndpointInput[] =>
  [...endpoints].sort(compare).filter((endpoint, index, sorted) => {
    const before = sorted[index - 1]
    return before?.address !== endpoint.address || before.port !== endpoint.port
  })

const groups = (endpoints: readonly EndpointInput[]): EndpointInput[][] => {
  const found: EndpointInput[][] = []
  for (const endpoint of endpoints.toSorted(compareLocality)) {
    const group = found.at(-1)
    const sibling = group?.[0]
    if (group !== undefined && sibling !== undefined && compareLocality(sibling, endpoint) === 0)
      group.push(endpoint)
    else found.push([endpoint])
  }
  return found
}

/**
 * The endpoints of a service: by locality (region, zone), in it by address and port, each address once, so that
 * equal sets give equal bytes in whatever order they come. Without endpoints: an explicit empty assignment
 * (X21), at which Envoy answers 503 at once.
 */
export const buildEndpoints = ({ service, endpoints }: EndpointsInput): ClusterLoadAssignment =>
  ClusterLoadAssignment.fromPartial({
    clusterName: service,
    endpoints: groups(distinctEndpoints(endpoints)).map(group => ({
      locality: group[0]?.locality,
      lbEndpoints: group.map(({ id, address, port, health, weight }) => ({
        endpoint: { hostname: id, address: socketAddress(address, port) },
        healthStatus: HealthStatus[health],
        loadBalancingWeight: Math.max(1, Math.round(weight)),
      })),
    })),
  })
