import { ClusterLoadAssignment } from '@envoyproxy/protos/envoy/config/endpoint/v3/endpoint.ts'
import { Listener } from '@envoyproxy/protos/envoy/config/listener/v3/listener.ts'
import { beforeEach, describe, expect, it } from 'vitest'
import { PureMesh } from '../../test/support/pure-mesh.ts'
import { context, instanceSpec } from '../../test/support/specs.ts'
import type { ResourceSetChange, XdsNode, XdsView } from '../xds/port.ts'
import { clusterType, endpointType, listenerType, routeType, virtualHostType } from '../xds/type-urls.ts'
import { testXdsSource } from '../xds/testing/source-contract.ts'
import { MeshSource } from './mesh-source.ts'

const node = (id: string, metadata?: unknown): XdsNode => ({
  id,
  cluster: id.slice(0, id.indexOf('/')),
  locality: { region: '', zone: '' },
  metadata,
  agent: 'envoy/1.40.0',
  clientFeatures: [],
})

let pure: PureMesh
let source: MeshSource

beforeEach(() => {
  pure = new PureMesh()
  source = new MeshSource({ mesh: pure.mesh, tracing: null })
})

const register = (service: string, id: string, overrides: Parameters<typeof instanceSpec>[0] = {}) =>
  pure.registry.register({ service, id, spec: instanceSpec(overrides) }, context)

const deregister = (service: string, id: string) =>
  pure.registry.deregister({ service, id, incarnation: null, drainMs: null }, context)

const setOf = (view: XdsView, typeUrl: string) => {
  const set = view.set(typeUrl)
  if (set === undefined) throw new Error(`no set of ${typeUrl}`)
  return set
}

const record = (view: XdsView, typeUrl: string): ResourceSetChange[] => {
  const seen: ResourceSetChange[] = []
  setOf(view, typeUrl).watch(change => seen.push(change))
  return seen
}

const clustersOf = (view: XdsView): string[] => [...setOf(view, clusterType).names()].sort()

const hostsOf = (view: XdsView): string[] => [...setOf(view, virtualHostType).names()].sort()

describe('MeshSource', () => {
  it('gives a sidecar the clusters, endpoints and routes of every service, and its own listeners', async () => {
    await register('orders', 'o-1', { port: 9_000, sidecar: { port: 9_001 } })
    await register('payments', 'p-1')
    const view = source.open(node('orders/o-1', { outboundPort: 9_002 }))
    expect(clustersOf(view)).toEqual(['_inbound', 'orders', 'payments'])
    expect([...setOf(view, listenerType).names()]).toEqual(['outbound', 'inbound'])
    expect(hostsOf(view)).toEqual(['outbound/*', 'outbound/orders', 'outbound/payments'])
    const endpoints = setOf(view, endpointType).get('orders')
    expect(ClusterLoadAssignment.decode(endpoints?.body ?? new Uint8Array())).toMatchObject({
      clusterName: 'orders',
      // Callers reach an instance through its sidecar.
      endpoints: [{ lbEndpoints: [{ endpoint: { address: { socketAddress: { portValue: 9_001 } } } }] }],
    })
  })

  it('limits a sidecar to its upstreams', async () => {
    await register('orders', 'o-1')
    await register('payments', 'p-1')
    const view = source.open(node('orders/o-1', { upstreams: ['payments', 'later'] }))
    expect(clustersOf(view)).toEqual(['_inbound', 'payments'])
    expect(hostsOf(view)).toEqual(['outbound/*', 'outbound/payments'])
    const changes = record(view, clusterType)
    await register('unrelated', 'u-1')
    expect(changes).toEqual([])
    await register('later', 'l-1')
    expect(changes).toEqual([{ revision: 4, names: ['later'] }])
    expect(clustersOf(view)).toEqual(['_inbound', 'later', 'payments'])
  })

  it('touches only the endpoints when an instance comes to a known service', async () => {
    await register('payments', 'p-1', { port: 1_000 })
    const view = source.open(node('web/w-1'))
    const clusters = record(view, clusterType)
    const hosts = record(view, virtualHostType)
    const endpoints = record(view, endpointType)
    await register('payments', 'p-2', { port: 1_001 })
    expect(endpoints).toEqual([{ revision: 2, names: ['payments'] }])
    expect([...clusters, ...hosts]).toEqual([])
  })

  it('keeps the very object of what has not changed', async () => {
    await register('payments', 'p-1')
    const view = source.open(node('web/w-1'))
    const before = [clusterType, endpointType].map(type => setOf(view, type).get('payments'))
    // A changed registration that does not show in the endpoints.
    await register('payments', 'p-1', { metadata: { team: 'core' } })
    expect([clusterType, endpointType].map(type => setOf(view, type).get('payments'))).toEqual(before)
    expect(setOf(view, endpointType).get('payments')).toBe(before[1])
  })

  it('removes a service with its last instance, and keeps it empty with a Service document', async () => {
    await register('payments', 'p-1')
    await register('orders', 'o-1')
    await pure.registry.applyDocument(
      { kind: 'Service', name: 'orders', spec: { protocol: 'http' }, ifMatch: null },
      context,
    )
    const view = source.open(node('web/w-1'))
    await deregister('payments', 'p-1')
    await deregister('orders', 'o-1')
    expect(clustersOf(view)).toEqual(['orders'])
    expect(setOf(view, endpointType).get('payments')).toBeUndefined()
    const empty = setOf(view, endpointType).get('orders')
    expect(ClusterLoadAssignment.decode(empty?.body ?? new Uint8Array())).toMatchObject({
      clusterName: 'orders',
      endpoints: [],
    })
  })

  it('gives a caller with a policy of its own another cluster, and all others the same object', async () => {
    await register('payments', 'p-1')
    const [web, shop, other] = ['web/w-1', 'shop/s-1', 'other/o-1'].map(id => source.open(node(id)))
    if (web === undefined || shop === undefined || other === undefined) throw new Error('unreachable')
    const changes = record(web, clusterType)
    await pure.registry.applyDocument(
      {
        kind: 'TrafficPolicy',
        name: 'web-to-payments',
        spec: { destination: 'payments', caller: 'web', panicThreshold: 0 },
        ifMatch: null,
      },
      context,
    )
    expect(changes).toEqual([{ revision: 2, names: ['payments'] }])
    const cluster = (view: XdsView) => setOf(view, clusterType).get('payments')
    expect(cluster(shop)).toBe(cluster(other))
    expect(cluster(web)?.version).not.toBe(cluster(shop)?.version)
    await pure.registry.deleteDocument(
      { kind: 'TrafficPolicy', name: 'web-to-payments', ifMatch: null },
      context,
    )
    expect(cluster(web)?.version).toBe(cluster(shop)?.version)
  })

  it('says that the inbound listener cannot do without the cluster of the application', async () => {
    await register('orders', 'o-1')
    const listener = setOf(source.open(node('orders/o-1')), listenerType).get('inbound')
    expect(listener?.dependsOn).toEqual([{ typeUrl: clusterType, name: '_inbound' }])
  })

  it('opens the inbound listener when the instance registers, and keeps it when it has left', async () => {
    const view = source.open(node('orders/o-1'))
    const changes = record(view, listenerType)
    expect([...setOf(view, listenerType).names()]).toEqual(['outbound'])
    await register('orders', 'o-1', { sidecar: { port: 9_001 } })
    expect(changes).toEqual([{ revision: 1, names: ['inbound'] }])
    await deregister('orders', 'o-1')
    expect([...setOf(view, listenerType).names()]).toEqual(['outbound', 'inbound'])
  })

  it.each([
    ['127.0.0.1', '127.0.0.1'],
    ['10.0.3.7', '0.0.0.0'],
    ['::1', '::1'],
    ['fd00::7', '::'],
  ])('opens the inbound listener of an instance at %s on %s', async (address, bound) => {
    const view = source.open(node('orders/o-1'))
    await register('orders', 'o-1', { address, sidecar: { port: 9_001 } })
    const listener = setOf(view, listenerType).get('inbound')
    expect(Listener.decode(listener?.body ?? new Uint8Array()).address?.socketAddress).toMatchObject({
      address: bound,
      portValue: 9_001,
    })
  })

  it('gives the same versions on another replica, whatever the order of events', async () => {
    for (const id of ['b', 'a', 'c']) await register('payments', id, { port: id.charCodeAt(0) })
    await deregister('payments', 'c')
    const other = new PureMesh()
    for (const id of ['a', 'b']) {
      await other.registry.register(
        { service: 'payments', id, spec: instanceSpec({ port: id.charCodeAt(0) }) },
        context,
      )
    }
    const elsewhere = new MeshSource({ mesh: other.mesh, tracing: null })
    const versions = (from: MeshSource) => {
      const view = from.open(node('web/w-1'))
      const read = (type: string, name: string) => setOf(view, type).get(name)?.version
      return [
        read(clusterType, 'payments'),
        read(endpointType, 'payments'),
        read(routeType, 'outbound'),
        read(virtualHostType, 'outbound/payments'),
        read(listenerType, 'outbound'),
      ]
    }
    expect(versions(elsewhere)).toEqual(versions(source))
  })

  it.each([
    ['no-slash', undefined, '{service}/{instance}'],
    ['Bad Name/x', undefined, '{service}/{instance}'],
    ['orders/o-1', { outboundPort: 70_000 }, 'outboundPort'],
    ['orders/o-1', { inboundPort: '15006' }, 'inboundPort'],
    ['orders/o-1', { upstreams: 'payments' }, 'upstreams'],
    ['orders/o-1', { onDemand: 1 }, 'onDemand'],
    ['orders/o-1', { upstreams: ['../etc'] }, 'upstreams'],
    ['orders/o-1', 'text', 'not an object'],
  ])('refuses node %s with metadata %j', (id, metadata, words) => {
    expect(() => source.open(node(id, metadata))).toThrow(words)
  })

  it('refuses a sidecar that asks for its resources in another way than delta ADS', () => {
    const ask = (form: 'delta' | 'sotw', aggregated: boolean) => () =>
      source.open(node('orders/o-1'), { stream: { form, aggregated } })
    expect(ask('sotw', true)).toThrow('DELTA_GRPC')
    expect(ask('delta', false)).toThrow('DELTA_GRPC')
    ask('delta', true)().close()
  })
})

testXdsSource('MeshSource', () => {
  const own = new PureMesh()
  let services = 0
  let seconds = 1
  return Promise.resolve({
    source: new MeshSource({ mesh: own.mesh, tracing: null }),
    node: node('web/w-1'),
    typeUrl: clusterType,
    add: async () => {
      services += 1
      const service = `service-${services}`
      await own.registry.register({ service, id: 'a', spec: instanceSpec() }, context)
      return service
    },
    change: async name => {
      seconds += 1
      const spec = { destination: name, timeouts: { connect: `${seconds}s` } }
      await own.registry.applyDocument({ kind: 'TrafficPolicy', name, spec, ifMatch: null }, context)
    },
    remove: async service => {
      await own.registry.deregister({ service, id: 'a', incarnation: null, drainMs: null }, context)
    },
  })
})
