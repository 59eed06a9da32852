import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { defaultTrafficSettings } from '../model/defaults.ts'
import { effectivePolicy } from '../model/effective-policy.ts'
import { clusterPolicyOf, routePolicyOf } from '../model/traffic-settings.ts'
import { arbitraryPolicies } from '../testing/arbitrary-policy.ts'
import { buildCluster } from './cluster.ts'
import { packCluster, packRoutes } from './resource.ts'
import { buildRoutes, buildVirtualHost, clustersOfRoutes } from './routes.ts'
import { messageJson } from './to-json.ts'

const cluster = (settings = defaultTrafficSettings) =>
  packCluster(buildCluster({ service: 'payments', protocol: 'http', policy: clusterPolicyOf(settings) }))

const routes = (services: readonly string[], settings = defaultTrafficSettings) =>
  packRoutes(
    buildRoutes(services.map(service => buildVirtualHost({ service, policy: routePolicyOf(settings) }))),
  )

describe('packed resources', () => {
  it('have the name and type that sidecars ask for', () => {
    expect(cluster()).toMatchObject({
      name: 'payments',
      typeUrl: 'type.googleapis.com/envoy.config.cluster.v3.Cluster',
    })
    expect(routes([])).toMatchObject({ name: 'outbound' })
  })

  it('have a version that changes with the content only', () => {
    const other = { ...defaultTrafficSettings, panicThreshold: 1 }
    expect(cluster().version).toMatch(/^[0-9a-f]{16}$/)
    expect(cluster().version).toBe(cluster(structuredClone(defaultTrafficSettings)).version)
    expect(cluster(other).version).not.toBe(cluster().version)
    // What a cluster is not made of does not touch it.
    const timeouts = { ...defaultTrafficSettings.timeouts, request: '1s' }
    expect(cluster({ ...defaultTrafficSettings, timeouts }).version).toBe(cluster().version)
    expect(routes(['a'], { ...defaultTrafficSettings, timeouts }).version).not.toBe(routes(['a']).version)
    expect(routes(['a'], other).version).toBe(routes(['a']).version)
  })

  it('do not depend on the order of services', () => {
    expect(routes(['b', 'a', 'c'])).toEqual(routes(['c', 'b', 'a']))
    expect(clustersOfRoutes(['b', 'a'])).toEqual(['a', 'b'])
  })

  it('can be built from, and shown for, any policies', () => {
    fc.assert(
      fc.property(arbitraryPolicies, documents => {
        const { settings } = effectivePolicy({ caller: 'web', destination: 'payments', documents })
        for (const { typeUrl, body } of [cluster(settings), routes(['payments'], settings)])
          expect(messageJson(typeUrl, body)).toMatchObject({ '@type': typeUrl })
      }),
    )
  })
})

describe('messageJson', () => {
  it('refuses a type that Waymark does not build', () => {
    expect(() => messageJson('type.googleapis.com/google.protobuf.Empty', Buffer.alloc(0))).toThrow(
      'There is no message type type.googleapis.com/google.protobuf.Empty',
    )
  })
})
