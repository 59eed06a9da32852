import { Cluster, Cluster_LbPolicy } from '@envoyproxy/protos/envoy/config/cluster/v3/cluster.ts'
import { ClusterLoadAssignment } from '@envoyproxy/protos/envoy/config/endpoint/v3/endpoint.ts'
import { Listener } from '@envoyproxy/protos/envoy/config/listener/v3/listener.ts'
import { RouteConfiguration } from '@envoyproxy/protos/envoy/config/route/v3/route.ts'
import { beforeEach, describe, expect, it } from 'vitest'
import { PureMesh } from '../../test/support/pure-mesh.ts'
import { context, instanceSpec } from '../../test/support/specs.ts'
import type { XdsNode, XdsView } from '../xds/port.ts'
import { clusterType, endpointType, listenerType, routeType } from '../xds/type-urls.ts'
import { MeshSource } from './mesh-source.ts'

let pure: PureMesh
let source: MeshSource

beforeEach(() => {
  pure = new PureMesh()
  source = new MeshSource({ mesh: pure.mesh, tracing: null })
})

const open = (id: string, { agent = 'gRPC Go/1.80.0', cluster = '' } = {}): XdsView => {
  const node: XdsNode = {
    id,
    cluster,
    locality: { region: '', zone: '' },
    metadata: undefined,
    agent,
    clientFeatures: [],
  }
  return source.open(node)
}

const register = (service: string, id: string, overrides: Parameters<typeof instanceSpec>[0] = {}) =>
  pure.registry.register({ service, id, spec: instanceSpec(overrides) }, context)

const deregister = (service: string, id: string) =>
  pure.registry.deregister({ service, id, incarnation: null, drainMs: null }, context)

const apply = (name: string, spec: object) =>
  pure.registry.applyDocument({ kind: 'TrafficPolicy', name, spec, ifMatch: null }, context)

const setOf = (view: XdsView, typeUrl: string) => {
  const set = view.set(typeUrl)
  if (set === undefined) throw new Error(`no set of ${typeUrl}`)
  return set
}

const body = (view: XdsView, typeUrl: string, name: string): Uint8Array => {
  const resource = setOf(view, typeUrl).get(name)
  if (resource?.body === null || resource === undefined) throw new Error(`no ${typeUrl} ${name}`)
  return resource.body
}

/** The names of each change of a type. */
const record = (view: XdsView, typeUrl: string): string[][] => {
  const seen: string[][] = []
  setOf(view, typeUrl).watch(({ names }) => seen.push([...names]))
  return seen
}

describe('a gRPC program without a sidecar', () => {
  it('gets what it names, and no wildcard covers any of it', async () => {
    await register('payments', 'p-1')
    const view = open('web/w-1')
    for (const typeUrl of [listenerType, routeType, clusterType, endpointType]) {
      const set = setOf(view, typeUrl)
      expect(set.get('payments')?.name).toBe('payments')
      expect(set.get('payments')?.dependsOn).toBeUndefined()
      expect(set.get('No service')).toBeUndefined()
      expect([...set.names()]).toEqual([])
      expect(set.covers?.('payments')).toBe(false)
    }
    expect(Listener.decode(body(view, listenerType, 'payments')).apiListener).toBeDefined()
    for (const name of ['payments.mesh', 'payments:8080', 'payments.mesh:80'])
      expect(setOf(view, listenerType).get(name)?.name).toBe(name)
  })

  it('is told apart from a sidecar, which gets no API listener', async () => {
    await register('payments', 'p-1')
    const view = open('web/w-1', { agent: 'envoy/1.40.0' })
    expect(setOf(view, listenerType).get('payments')).toBeUndefined()
    expect([...setOf(view, listenerType).names()]).toEqual(['outbound'])
  })

  it('may have any id; its service is that of the id, else its cluster', async () => {
    await register('payments', 'p-1')
    await apply('slow', { destination: 'payments', timeouts: { request: '30s' } })
    await apply('fast', { destination: 'payments', caller: 'web', timeouts: { request: '2s' } })
    const seconds = (view: XdsView) =>
      RouteConfiguration.decode(body(view, routeType, 'payments')).virtualHosts[0]?.routes[0]?.route
        ?.maxStreamDuration?.maxStreamDuration?.seconds
    expect(seconds(open('web/w-1'))).toBe(2)
    expect(seconds(open('laptop 7', { cluster: 'web' }))).toBe(2)
    expect(seconds(open('orders/o-1', { cluster: 'web' }))).toBe(30)
    expect(seconds(open('a/b/c', { cluster: 'No service' }))).toBe(30)
    expect(() => open('x'.repeat(401))).toThrow(/node.id has 401 characters/)
  })

  it('finds a service without instances where there is none, and hears when one comes and goes', async () => {
    const view = open('web/w-1')
    const types = [listenerType, routeType, clusterType]
    const kept = types.map(typeUrl => setOf(view, typeUrl).get('payments')?.version)
    const localities = () =>
      ClusterLoadAssignment.decode(body(view, endpointType, 'payments')).endpoints.length
    const seen: number[] = [localities()]
    setOf(view, endpointType).watch(() => seen.push(localities()))
    await register('payments', 'p-1')
    await deregister('payments', 'p-1')
    expect(seen).toEqual([0, 1, 0])
    expect(types.map(typeUrl => setOf(view, typeUrl).get('payments')?.version)).toEqual(kept)
  })

  it('hears of instances by endpoints only, and gets the same object while nothing changes', async () => {
    await register('payments', 'p-1', { port: 1 })
    const view = open('web/w-1')
    const kept = [listenerType, routeType, clusterType].map(typeUrl => setOf(view, typeUrl).get('payments'))
    const quiet = [listenerType, routeType, clusterType].map(typeUrl => record(view, typeUrl))
    const changes = record(view, endpointType)
    const before = setOf(view, endpointType).get('payments')
    await register('payments', 'p-2', { port: 2 })
    expect(changes).toEqual([['payments', 'payments/_ring']])
    expect(setOf(view, endpointType).get('payments')).not.toBe(before)
    expect(
      ClusterLoadAssignment.decode(body(view, endpointType, 'payments')).endpoints[0]?.lbEndpoints,
    ).toHaveLength(2)
    expect(quiet).toEqual([[], [], []])
    expect(
      [listenerType, routeType, clusterType].map(typeUrl => setOf(view, typeUrl).get('payments')),
    ).toEqual(kept)
    expect(setOf(open('orders/o-1'), clusterType).get('payments')).toBe(kept[2])
  })

  it('asks for the endpoints by another name when a policy wants a ring', async () => {
    await register('payments', 'p-1', { weight: 7 })
    const view = open('web/w-1')
    const clusters = record(view, clusterType)
    await apply('ring', {
      destination: 'payments',
      loadBalancing: { policy: 'maglev', hashOn: { header: 'x-user' } },
    })
    expect(clusters).toEqual([['payments']])
    const cluster = Cluster.decode(body(view, clusterType, 'payments'))
    expect(cluster.lbPolicy).toBe(Cluster_LbPolicy.RING_HASH)
    const name = cluster.edsClusterConfig?.serviceName ?? ''
    const [locality] = ClusterLoadAssignment.decode(body(view, endpointType, name)).endpoints
    expect([locality?.loadBalancingWeight, locality?.lbEndpoints[0]?.loadBalancingWeight]).toEqual([1, 7])
  })

  it('tells only a caller whose policy has changed', async () => {
    await register('payments', 'p-1')
    const web = record(open('web/w-1'), clusterType)
    const orders = record(open('orders/o-1'), clusterType)
    await apply('limit', { destination: 'payments', caller: 'web', connectionLimits: { requests: 3 } })
    expect([web, orders]).toEqual([[['payments']], []])
  })

  it('that is a server gets a listener for the address that it has bound, as it writes it', () => {
    const view = open('payments/p-1')
    for (const address of ['0.0.0.0:50051', '[::]:50051', '127.0.0.1:1']) {
      const listener = Listener.decode(body(view, listenerType, `_server/${address}`))
      expect(listener.defaultFilterChain?.filters).toHaveLength(1)
      const { address: host = '', portValue = 0 } = listener.address?.socketAddress ?? {}
      expect(address).toBe(`${host.includes(':') ? `[${host}]` : host}:${portValue}`)
    }
    for (const wrong of [
      '50051',
      'host:1',
      '1.2.3:4',
      '0.0.0.0:0',
      '0.0.0.0:65536',
      '0.0.0.0:080',
      '[1.2.3.4]:5',
    ]) {
      expect(setOf(view, listenerType).get(`_server/${wrong}`)).toBeUndefined()
    }
  })

  it('is forgotten when it has gone', async () => {
    await register('payments', 'p-1')
    const first = open('web/w-1')
    const second = open('web/w-2')
    expect(second.set(clusterType)).toBe(first.set(clusterType))
    first.close()
    second.close()
    expect(open('web/w-1').set(clusterType)).not.toBe(first.set(clusterType))
  })
})
