import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { defaultTrafficSettings } from '../model/defaults.ts'
import { effectivePolicy } from '../model/effective-policy.ts'
import { clusterPolicyOf, routePolicyOf } from '../model/traffic-settings.ts'
import { arbitraryPolicies } from '../testing/arbitrary-policy.ts'
import { buildCluster } from './cluster.ts'
import { packCluster, packVirtualHost } from './resource.ts'
import { buildVirtualHost } from './routes.ts'
import { messageJson } from './to-json.ts'

const cluster = (settings = defaultTrafficSettings) =>
  packCluster(buildCluster({ service: 'payments', protocol: 'http', policy: clusterPolicyOf(settings) }))

const host = (settings = defaultTrafficSettings) =>
  packVirtualHost(buildVirtualHost({ service: 'payments', policy: routePolicyOf(settings) }))

describe('packed resources', () => {
  it('have the name and type that sidecars ask for', () => {
    expect(cluster()).toMatchObject({
      name: 'payments',
      typeUrl: 'type.googleapis.com/envoy.config.cluster.v3.Cluster',
    })
    expect(host()).toMatchObject({
      name: 'outbound/payments',
      typeUrl: 'type.googleapis.com/envoy.config.route.v3.VirtualHost',
    })
  })

  it('keep no memory but their own', () => {
    for (const { body } of [cluster(), host()]) expect(body.buffer.byteLength).toBe(body.byteLength)
  })

  it('have a version that changes with the content only', () => {
    const other = { ...defaultTrafficSettings, panicThreshold: 1 }
    expect(cluster().version).toMatch(/^[0-9a-f]{16}$/)
    expect(cluster().version).toBe(cluster(structuredClone(defaultTrafficSettings)).version)
    expect(cluster(other).version).not.toBe(cluster().version)
    // What a cluster is not made of does not touch it.
    const timeouts = { ...defaultTrafficSettings.timeouts, request: '1s' }
    expect(cluster({ ...defaultTrafficSettings, timeouts }).version).toBe(cluster().version)
    expect(host({ ...defaultTrafficSettings, timeouts }).version).not.toBe(host().version)
    expect(host(other).version).toBe(host().version)
  })

  it('can be built from, and shown for, any policies', () => {
    fc.assert(
      fc.property(arbitraryPolicies, documents => {
        const { settings } = effectivePolicy({ caller: 'web', destination: 'payments', documents })
        for (const { typeUrl, body } of [cluster(settings), host(settings)])
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
