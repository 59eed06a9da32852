import { afterEach, beforeEach, expect, it } from 'vitest'
import { MeshSource } from '../src/resources/mesh-source.ts'
import type { ProblemView } from '../src/rest/schemas/problem.ts'
import type { SidecarConfigView } from '../src/rest/schemas/sidecar-config.ts'
import type { XdsNode, XdsView } from '../src/xds/port.ts'
import type { ClientView, HeldResource } from '../src/xds/status/held-resources.ts'
import { clusterType, endpointType, listenerType, routeType, virtualHostType } from '../src/xds/type-urls.ts'
import { createTestDatabase, type TestDatabase } from './support/database.ts'
import { eventually } from './support/eventually.ts'
import { startRest, type TestRest } from './support/rest.ts'

const all = 'web/web-1'
const some = 'shop/shop-1'
const onDemand = 'batch/batch-1'

const nodeOf = (id: string, metadata?: object): XdsNode => ({
  id,
  cluster: '',
  locality: { region: '', zone: '' },
  metadata,
  agent: 'envoy/1.40.0',
  clientFeatures: [],
})
const nodes = [
  nodeOf(all),
  nodeOf(some, { upstreams: ['orders', 'payments'] }),
  nodeOf(onDemand, { onDemand: true }),
]
/** What a sidecar holds now: routes and endpoints are asked for by name, and with "on demand" everything is. */
const asked = (typeUrl: string, name: string): HeldResource => ({
  typeUrl,
  name,
  wanted: undefined,
  version: null,
  acked: null,
  absent: false,
  unanswered: false,
  refusal: null,
})
const held: Readonly<Record<string, readonly HeldResource[]>> = {
  [all]: [asked(routeType, 'outbound')],
  [some]: [],
  [onDemand]: [asked(virtualHostType, 'outbound/orders'), asked(clusterType, 'orders')],
}

let test: TestDatabase
let rest: TestRest

beforeEach(async () => {
  test = await createTestDatabase()
  const clients = new Map(
    nodes.map((node): [string, ClientView] => [node.id, { node, resources: () => held[node.id] ?? [] }]),
  )
  rest = await startRest(test, { clients: { client: id => clients.get(id) } })
})

afterEach(async () => {
  await rest.stop()
  await test.destroy()
})

/** Type, name and version of what the sidecar would be sent now. */
const present = (view: XdsView, node: string): string[] => {
  const lines = new Set<string>()
  const add = (typeUrl: string, names: Iterable<string>): void => {
    for (const name of names) {
      const resource = view.set(typeUrl)?.get(name)
      if (resource !== undefined && resource.body !== null)
        lines.add(`${typeUrl} ${resource.name} ${resource.version}`)
    }
  }
  const heldOf = (typeUrl: string): string[] =>
    (held[node] ?? []).filter(one => one.typeUrl === typeUrl).map(({ name }) => name)
  view.set(virtualHostType)?.asked?.(heldOf(virtualHostType))
  view.set(clusterType)?.asked?.(heldOf(clusterType))
  for (const typeUrl of [listenerType, virtualHostType, clusterType])
    add(typeUrl, [...(view.set(typeUrl)?.names() ?? []), ...heldOf(typeUrl)])
  add(endpointType, view.set(clusterType)?.names() ?? [])
  add(routeType, heldOf(routeType))
  return [...lines].sort()
}

const past = async (node: string, query: string) => {
  const { status, revision, body } = await rest.call<SidecarConfigView>(
    'GET',
    `/sidecars/${node}/config?${query}`,
  )
  expect(status).toBe(200)
  expect(body).toMatchObject({ node, state: 'wanted', revision })
  return {
    ...body,
    lines: body.resources.map(one => `${one.typeUrl} ${one.name} ${one.version ?? ''}`).sort(),
  }
}

it('gives what each sidecar would have got at every revision', async () => {
  const { mesh } = rest.replica
  const steps: readonly (readonly [string, string, object?])[] = [
    ['PUT', '/services/payments/instances/a', { address: '10.0.0.1', port: 80, lease: null }],
    [
      'PUT',
      `/services/web/instances/web-1`,
      { address: '10.0.0.2', port: 81, lease: null, sidecar: { port: 15_006 } },
    ],
    ['PUT', '/services/orders/instances/a', { address: '10.0.0.3', port: 82, lease: null }],
    [
      'PUT',
      '/documents/TrafficPolicy/slow',
      { spec: { destination: 'payments', timeouts: { request: '1s' } } },
    ],
    [
      'PUT',
      '/documents/TrafficPolicy/own',
      { spec: { destination: 'payments', caller: 'web', timeouts: { request: '2s' } } },
    ],
    ['PUT', '/services/payments/instances/b', { address: '10.0.0.4', port: 83, lease: null }],
    ['PUT', '/documents/Service/orders', { spec: { protocol: 'grpc' } }],
    ['DELETE', '/services/payments/instances/a'],
    ['DELETE', '/documents/TrafficPolicy/slow'],
    ['DELETE', '/services/orders/instances/a'],
    ['DELETE', '/documents/Service/orders'],
    ['PUT', '/services/payments/instances/b', { address: '10.0.0.4', port: 84, lease: null }],
  ]
  const then = new Map<string, string[]>()
  for (const [method, path, body] of steps) {
    const { status, revision, body: told } = await rest.call(method, path, body === undefined ? {} : { body })
    expect(status, JSON.stringify(told)).toBeLessThan(300)
    await eventually(() => {
      expect(mesh.revision).toBe(revision)
    })
    for (const node of nodes)
      then.set(`${node.id} ${revision}`, present(new MeshSource({ mesh, tracing: null }).open(node), node.id))
  }
  expect(mesh.revision).toBe(steps.length)
  for (const { id } of nodes) {
    for (let at = 1; at <= steps.length; at += 1)
      expect((await past(id, `at=${at}`)).lines, `${id} at ${at}`).toEqual(then.get(`${id} ${at}`))
  }
  // They do differ.
  expect(new Set([...then.values()].map(lines => lines.join())).size).toBeGreaterThan(20)
})

it('takes a time, and what of it is asked for', async () => {
  const body = { address: '10.0.0.1', port: 80, lease: null }
  const { revision } = await rest.ok('PUT', '/services/payments/instances/a', { body })
  const { body: log } = await rest.ok<{ sets: { changes: { occurredAt: string }[] }[] }>('GET', '/changes')
  await rest.ok('PUT', '/services/payments/instances/a', { body: { ...body, port: 81 } })
  const at = log.sets[0]?.changes[0]?.occurredAt ?? ''
  const found = await past(all, `at=${at}&type=endpoints&name=payments&state=wanted&wait=30s`)
  expect(found.revision).toBe(revision)
  const address = { socketAddress: { address: '10.0.0.1', portValue: 80 } }
  expect(found.resources).toMatchObject([
    {
      name: 'payments',
      revision: null,
      config: { endpoints: [{ lbEndpoints: [{ endpoint: { address } }] }] },
    },
  ])
  expect((await past(all, 'at=0&type=endpoints')).resources).toEqual([])
})

it('refuses what nobody knows', async () => {
  await rest.ok('PUT', '/services/payments/instances/a', { body: { address: '10.0.0.1', port: 80 } })
  const problem = async (query: string, node = all) => {
    const { status, body } = await rest.call<ProblemView>('GET', `/sidecars/${node}/config?${query}`)
    return [status, body.code, body.errors?.[0]?.pointer]
  }
  expect(await problem('at=1&state=acked')).toEqual([400, 'invalid_request', '?state'])
  expect(await problem('at=1&index=1')).toEqual([400, 'invalid_request', '?index'])
  expect(await problem('at=9')).toEqual([400, 'invalid_request', '?at'])
  expect(await problem('at=yesterday')).toEqual([400, 'invalid_request', '?at'])
  for (const path of ['/status', '/sinks', '/sidecars', '/changes', '/events/schemas']) {
    const { status, body } = await rest.call<ProblemView>('GET', `${path}?at=1`)
    expect([path, status, body.errors?.[0]?.pointer]).toEqual([path, 400, '?at'])
  }
  expect(await problem('at=1', 'web/web-2')).toEqual([404, 'sidecar_not_found', undefined])
})
