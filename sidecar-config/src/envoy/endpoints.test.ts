import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { buildEndpoints, type EndpointInput } from './endpoints.ts'
import { arbitraryEndpoint } from '../testing/arbitrary-endpoint.ts'
import { packEndpoints } from './resource.ts'

const shuffled = fc
  .uniqueArray(arbitraryEndpoint, { selector: ({ id }) => id, maxLength: 12 })
  .chain(endpoints =>
    fc.tuple(
      fc.constant(endpoints),
      fc.shuffledSubarray(endpoints, { minLength: endpoints.length, maxLength: endpoints.length }),
    ),
  )

const pack = (endpoints: Iterable<EndpointInput>) =>
  packEndpoints(buildEndpoints({ service: 'payments', endpoints }))

describe('buildEndpoints', () => {
  it('gives equal bytes for equal sets in any order', () => {
    fc.assert(
      fc.property(shuffled, ([endpoints, other]) => {
        expect(pack(other)).toEqual(pack(endpoints))
      }),
    )
  })

  it('has each address once, each locality once, and positive weights', () => {
    fc.assert(
      fc.property(shuffled, ([endpoints]) => {
        const built = buildEndpoints({ service: 'payments', endpoints }).endpoints
        const localities = built.map(({ locality }) => JSON.stringify(locality))
        expect(new Set(localities).size).toBe(localities.length)
        const hosts = built.flatMap(({ lbEndpoints }) => lbEndpoints)
        const addresses = hosts.map(({ endpoint }) => JSON.stringify(endpoint?.address))
        expect(new Set(addresses).size).toBe(addresses.length)
        expect(addresses.length).toBe(
          new Set(endpoints.map(({ address, port }) => `${address} ${port}`)).size,
        )
        for (const { loadBalancingWeight } of hosts) expect(loadBalancingWeight).toBeGreaterThanOrEqual(1)
      }),
    )
  })

  it('lets a usable instance speak for an address, not the one that was there before', () => {
    const base = { address: '10.0.0.1', port: 80, weight: 1, locality: { region: '', zone: '' } }
    const built = buildEndpoints({
      service: 'payments',
      endpoints: [
        { ...base, id: 'a', health: 'UNHEALTHY' },
        { ...base, id: 'b', health: 'DRAINING' },
        { ...base, id: 'c', health: 'HEALTHY' },
      ],
    })
    expect(built.endpoints.flatMap(group => group.lbEndpoints.map(host => host.endpoint?.hostname))).toEqual([
      'c',
    ])
  })

  it('is an explicit empty assignment without endpoints (X21)', () => {
    expect(buildEndpoints({ service: 'payments', endpoints: [] })).toMatchObject({
      clusterName: 'payments',
      endpoints: [],
    })
    expect(pack([]).body.length).toBeGreaterThan(0)
  })
})
