import type { ClusterLoadAssignment } from '@envoyproxy/protos/envoy/config/endpoint/v3/endpoint.ts'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { arbitraryEndpoint } from '../testing/arbitrary-endpoint.ts'
import { distinctEndpoints, type EndpointHealth, type EndpointInput } from './endpoints.ts'
import { buildGrpcEndpoints, grpcEndpointsName, parseGrpcEndpointsName } from './grpc-endpoints.ts'
import { packEndpoints } from './resource.ts'

const endpoint = (id: number, more: Partial<EndpointInput> = {}): EndpointInput => ({
  id: `payments-${id}`,
  address: '10.0.0.1',
  port: id,
  weight: 1,
  health: 'HEALTHY',
  locality: { region: 'r', zone: 'a' },
  ...more,
})

const build = (endpoints: Iterable<EndpointInput>, panicThreshold = 0): ClusterLoadAssignment =>
  buildGrpcEndpoints({ service: 'payments', endpoints, weighting: 'locality', panicThreshold })

/** The share of the calls that each address gets of a client that does as gRPC does, by priority. */
const shares = ({ endpoints }: ClusterLoadAssignment, rule: 'roundRobin' | 'product' | 'shared') => {
  const priorities: Map<string, number>[] = []
  for (const { priority, loadBalancingWeight: whole = 0, lbEndpoints } of endpoints) {
    const weights = (priorities[priority] ??= new Map())
    const sum = lbEndpoints.reduce((total, { loadBalancingWeight: own = 1 }) => total + own, 0)
    for (const { endpoint: host, loadBalancingWeight: own = 1 } of lbEndpoints) {
      const address = host?.address?.socketAddress
      const weight = {
        roundRobin: whole / lbEndpoints.length,
        product: whole * own,
        shared: (whole * own) / sum,
      }
      weights.set(`${address?.address ?? ''} ${address?.portValue ?? 0}`, weight[rule])
    }
  }
  return priorities
}

const ports = (assignment: ClusterLoadAssignment) =>
  shares(assignment, 'roundRobin').map(weights => [...weights.keys()].map(key => Number(key.split(' ')[1])))

describe('buildGrpcEndpoints', () => {
  it('gives each instance calls by its weight, in every zone', () => {
    fc.assert(
      fc.property(fc.array(arbitraryEndpoint, { maxLength: 12 }), endpoints => {
        const healthy = endpoints.map(each => ({ ...each, health: 'HEALTHY' as const }))
        const distinct = distinctEndpoints(healthy)
        const sum = distinct.reduce((total, { weight }) => total + Math.max(1, weight), 0)
        for (const rule of ['roundRobin', 'product', 'shared'] as const) {
          const weighting = rule === 'roundRobin' ? 'locality' : 'endpoint'
          const built = buildGrpcEndpoints({
            service: 'payments',
            endpoints: healthy,
            weighting,
            panicThreshold: 50,
          })
          const [only = new Map<string, number>()] = shares(built, rule)
          const all = [...only.values()].reduce((total, weight) => total + weight, 0)
          expect(only.size).toBe(distinct.length)
          for (const { address, port, weight } of distinct)
            expect((only.get(`${address} ${port}`) ?? 0) / all).toBeCloseTo(Math.max(1, weight) / sum)
        }
      }),
    )
  })

  it('gives equal bytes for equal sets in any order', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(arbitraryEndpoint, { selector: ({ id }) => id, maxLength: 12 }),
        fc.boolean(),
        (endpoints, ring) => {
          const weighting = ring ? 'endpoint' : 'locality'
          const pack = (list: readonly EndpointInput[]) =>
            packEndpoints(
              buildGrpcEndpoints({ service: 'payments', endpoints: list, weighting, panicThreshold: 0 }),
            )
          expect(pack(endpoints.toReversed())).toEqual(pack(endpoints))
        },
      ),
    )
  })

  it('leaves out who is unhealthy or leaving, and has degraded ones behind', () => {
    const healths: EndpointHealth[] = ['HEALTHY', 'UNKNOWN', 'DEGRADED', 'UNHEALTHY', 'DRAINING']
    expect(ports(build(healths.map((health, index) => endpoint(index + 1, { health }))))).toEqual([
      [1, 2],
      [3],
    ])
  })

  it('has degraded instances in front when there is no better one', () => {
    expect(ports(build([endpoint(1, { health: 'DEGRADED' })]))).toEqual([[1]])
  })

  it('has all that are not leaving when too few of them work', () => {
    const endpoints = [
      endpoint(1),
      endpoint(2, { health: 'UNHEALTHY' }),
      endpoint(3, { health: 'UNHEALTHY' }),
      endpoint(4, { health: 'DRAINING' }),
    ]
    expect(ports(build(endpoints, 33))).toEqual([[1]])
    expect(ports(build(endpoints, 34))).toEqual([[1, 2, 3]])
    expect(ports(build([endpoint(4, { health: 'DRAINING' })], 100))).toEqual([])
  })

  it('has a name per weighting, which can be read back', () => {
    for (const weighting of ['locality', 'endpoint'] as const) {
      const name = grpcEndpointsName('payments', weighting)
      expect(parseGrpcEndpointsName(name)).toEqual({ service: 'payments', weighting })
    }
  })
})
