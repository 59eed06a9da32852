import { HttpConnectionManager } from '@envoyproxy/protos/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.ts'
import { Listener } from '@envoyproxy/protos/envoy/config/listener/v3/listener.ts'
import { RouteConfiguration } from '@envoyproxy/protos/envoy/config/route/v3/route.ts'
import { VirtualHost } from '@envoyproxy/protos/envoy/config/route/v3/route_components.ts'
import fc from 'fast-check'
import { beforeEach, expect, test } from 'vitest'
import { PureMesh } from '../../test/support/pure-mesh.ts'
import { context, instanceSpec } from '../../test/support/specs.ts'
import type { ResourceSet, XdsView } from '../xds/port.ts'
import { testNode } from '../xds/testing/test-node.ts'
import { clusterType, listenerType, routeType, virtualHostType } from '../xds/type-urls.ts'
import { MeshSource } from './mesh-source.ts'

let pure: PureMesh
let source: MeshSource
let limited: string[]

beforeEach(() => {
  pure = new PureMesh()
  limited = []
  source = new MeshSource({
    mesh: pure.mesh,
    tracing: null,
    unknownLimit: 3,
    onUnknownLimit: service => limited.push(service),
  })
})

const register = (service: string) =>
  pure.registry.register({ service, id: 'a', spec: instanceSpec() }, context)

const deregister = (service: string) =>
  pure.registry.deregister({ service, id: 'a', incarnation: null, drainMs: null }, context)

const open = (metadata: unknown = { onDemand: true }, id = 'web/w-1'): XdsView =>
  source.open({ ...testNode(id), metadata })

const setOf = (view: XdsView, typeUrl: string): ResourceSet => {
  const set = view.set(typeUrl)
  if (set === undefined) throw new Error(`no set of ${typeUrl}`)
  return set
}

const names = (view: XdsView, typeUrl: string): string[] => [...setOf(view, typeUrl).names()].sort()

/** Asks for a virtual host as a stream does; what the answer does with a request. */
const ask = (view: XdsView, name: string) => {
  const hosts = setOf(view, virtualHostType)
  hosts.asked?.([name])
  return hostOf(view, name)
}

const hostOf = (view: XdsView, name: string) => {
  const resource = setOf(view, virtualHostType).get(name)
  if (resource === undefined) throw new Error(`no answer for ${name}`)
  const { body, aliases } = resource
  expect(resource.name).toBe(name)
  if (body === null) return { empty: true, aliases }
  const { name: own, domains, routes } = VirtualHost.decode(body)
  // Else Envoy would not find it when it is removed.
  expect(own).toBe(name)
  return { domains, does: routes[0]?.route?.cluster ?? routes[0]?.directResponse?.status }
}

const record = (view: XdsView, typeUrl: string): string[] => {
  const told: string[] = []
  setOf(view, typeUrl).watch(change => told.push(...change.names))
  return told
}

test('X6 every route configuration exists: one for the outbound listener, and 404 under any other name', () => {
  const routes = setOf(open({}), routeType)
  const read = (name: string) => RouteConfiguration.decode(routes.get(name)?.body ?? new Uint8Array())
  expect(read('outbound')).toMatchObject({
    name: 'outbound',
    virtualHosts: [],
    ignorePortInHostMatching: true,
  })
  expect(read('outbound').vhds).toBeDefined()
  expect(read('nothing')).toMatchObject({
    name: 'nothing',
    virtualHosts: [{ domains: ['*'], routes: [{ directResponse: { status: 404 } }] }],
  })
})

test('X7 the first wildcard of virtual hosts is answered with something, also without a service', () => {
  for (const metadata of [{}, { onDemand: true }, { upstreams: [] }]) {
    const hosts = setOf(open(metadata), virtualHostType)
    const [first] = hosts.names()
    expect(hosts.get(first ?? '')?.name).toBe(first)
    expect(hosts.covers?.(first ?? '')).toBe(true)
  }
})

test('X7 a sidecar on demand has nothing until it asks, then the cluster with the virtual host', async () => {
  await register('payments')
  await register('orders')
  const view = open()
  const [clusters, hosts] = [record(view, clusterType), record(view, virtualHostType)]
  expect(names(view, clusterType)).toEqual([])
  expect(ask(view, 'outbound/payments')).toEqual({
    domains: ['payments', 'payments.mesh'],
    does: 'payments',
  })
  expect(names(view, clusterType)).toEqual(['payments'])
  expect(setOf(view, virtualHostType).get('outbound/payments')?.dependsOn).toEqual([
    { typeUrl: clusterType, name: 'payments' },
  ])
  expect([clusters, hosts]).toEqual([['payments'], ['outbound/payments']])
  await deregister('orders')
  expect([clusters, hosts]).toEqual([['payments'], ['outbound/payments']])
})

test('X7 a host with a port or the domain of the mesh is answered empty, with the virtual host beside it', async () => {
  await register('payments')
  const view = open()
  for (const name of ['outbound/payments:8080', 'outbound/payments.mesh', 'outbound/payments.mesh:80']) {
    expect(ask(view, name)).toEqual({ empty: true, aliases: [name] })
    // Both go out together.
    expect(setOf(view, virtualHostType).get(name)?.dependsOn).toEqual([
      { typeUrl: clusterType, name: 'payments' },
    ])
  }
  expect(names(view, virtualHostType)).toContain('outbound/payments')
})

test('X7 an unknown host is answered with 404, becomes the service when it appears, and 404 when it goes', async () => {
  const view = open()
  const hosts = record(view, virtualHostType)
  const unknown = ask(view, 'outbound/later')
  expect(unknown).toEqual({ domains: ['later', 'later.mesh'], does: 404 })
  await register('later')
  expect(hostOf(view, 'outbound/later')).toEqual({ domains: ['later', 'later.mesh'], does: 'later' })
  expect(names(view, clusterType)).toEqual(['later'])
  await deregister('later')
  expect(hostOf(view, 'outbound/later')).toEqual(unknown)
  expect(names(view, clusterType)).toEqual([])
  await register('later')
  expect(hostOf(view, 'outbound/later').does).toBe('later')
  expect(hosts).toEqual(Array.from({ length: 4 }, () => 'outbound/later'))
})

test('X7 whatever host is asked for gets an answer that can do no harm to others', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.constantFrom('*', '*.com', '[::1]:80', '_x', 'A', '')), host => {
      const view = open()
      const answer = ask(view, `outbound/${host}`)
      for (const domain of answer.domains ?? []) expect(domain).toMatch(/^[a-z0-9][a-z0-9.-]*$/)
      view.close()
    }),
  )
})

test('X7 a sidecar that asks for too many unknown hosts gets every service and asks no more', async () => {
  await register('payments')
  const view = open()
  const hosts = record(view, virtualHostType)
  for (const host of ['a', 'b', 'c', 'c', 'b']) ask(view, `outbound/${host}`)
  expect([limited, names(view, clusterType), names(view, virtualHostType)]).toEqual([
    [],
    [],
    ['outbound/?', 'outbound/a', 'outbound/b', 'outbound/c'],
  ])
  expect(ask(view, 'outbound/d:80').does).toBeUndefined()
  expect([limited, names(view, clusterType)]).toEqual([['web'], ['payments']])
  expect(hosts).toEqual(expect.arrayContaining(['outbound/*', 'outbound/payments']))
  expect(hostOf(view, 'outbound/*')).toEqual({ domains: ['*'], does: 404 })
  // From now on as a sidecar that gets everything.
  await register('b')
  expect(names(view, clusterType)).toEqual(['b', 'payments'])
  expect(hostOf(view, 'outbound/b').does).toBe('b')
  await deregister('b')
  expect(setOf(view, virtualHostType).covers?.('outbound/b')).toBe(false)
})

test('X8 a cluster that is asked for by name is there, one that does not exist is not', async () => {
  await register('payments')
  const clusters = setOf(open(), clusterType)
  clusters.asked?.(['*', 'payments', 'nothing'])
  expect(clusters.get('payments')?.name).toBe('payments')
  expect(clusters.get('nothing')).toBeUndefined()
  expect([...clusters.names()]).toEqual(['payments'])
  await register('nothing')
  expect(clusters.get('nothing')?.name).toBe('nothing')
})

test('X8 clusters that a sidecar brings from another replica stay', async () => {
  await register('payments')
  const view = open()
  setOf(view, clusterType).asked?.(['payments', 'gone', '_inbound'])
  expect(names(view, clusterType)).toEqual(['payments'])
  expect(names(view, virtualHostType)).toContain('outbound/payments')
})

test('a sidecar on demand gets what it declares unasked', async () => {
  for (const service of ['payments', 'orders']) await register(service)
  const view = open({ onDemand: true, upstreams: ['payments'] })
  expect(names(view, clusterType)).toEqual(['payments'])
  expect(ask(view, 'outbound/orders').does).toBe('orders')
  expect(names(view, clusterType)).toEqual(['orders', 'payments'])
})

test('a sidecar that declares its upstreams gets no other service by asking', async () => {
  for (const service of ['payments', 'orders']) await register(service)
  const view = open({ upstreams: ['payments'] })
  expect(ask(view, 'outbound/orders').does).toBe(404)
  expect([names(view, clusterType), setOf(view, clusterType).get('orders')]).toEqual([
    ['payments'],
    undefined,
  ])
})

test('a changed policy of one caller touches that caller only', async () => {
  await register('payments')
  const [web, shop] = ['web/w-1', 'shop/s-1'].map(id => open({}, id))
  if (web === undefined || shop === undefined) throw new Error('unreachable')
  const told = [record(web, clusterType), record(web, virtualHostType)]
  const others = [record(shop, clusterType), record(shop, virtualHostType), record(shop, routeType)]
  const spec = { destination: 'payments', caller: 'web', timeouts: { request: '7s' } }
  const policy = { kind: 'TrafficPolicy', name: 'web-to-payments', ifMatch: null }
  await pure.registry.applyDocument({ ...policy, spec }, context)
  expect(told).toEqual([['payments'], ['outbound/payments']])
  const host = (view: XdsView) => setOf(view, virtualHostType).get('outbound/payments')
  expect(host(web)?.version).not.toBe(host(shop)?.version)
  await pure.registry.deleteDocument(policy, context)
  expect(host(web)).toBe(host(shop))
  expect(others).toEqual([[], [], []])
})

test('sidecars of one service that call the same share their virtual hosts', async () => {
  await register('payments')
  const [one, two, other] = ['web/w-1', 'web/w-2', 'shop/s-1'].map(id => setOf(open({}, id), virtualHostType))
  expect(one).toBe(two)
  expect(other).not.toBe(one)
  expect(other?.get('outbound/payments')).toBe(one?.get('outbound/payments'))
})

test('only a sidecar on demand has the filter that asks', () => {
  const filters = (metadata: unknown) => {
    const listener = setOf(open(metadata), listenerType).get('outbound')
    const config = Listener.decode(listener?.body ?? new Uint8Array()).filterChains[0]?.filters[0]
      ?.typedConfig
    return HttpConnectionManager.decode(config?.value ?? new Uint8Array()).httpFilters.map(({ name }) => name)
  }
  expect(filters({ onDemand: true })).toEqual(['envoy.filters.http.on_demand', 'envoy.filters.http.router'])
  expect(filters({ onDemand: false })).toEqual(['envoy.filters.http.router'])
})
