import { Secret } from '@envoyproxy/protos/envoy/extensions/transport_sockets/tls/v3/secret.ts'
import { createServer } from 'node:net'
import { buildEndpoints } from '@waymark/sidecar-config/envoy/endpoints.ts'
import { packEndpoints } from '@waymark/sidecar-config/envoy/resource.ts'
import { afterEach, beforeEach, expect, it } from 'vitest'
import type { ReplicaReport, SidecarEntry } from '../src/rest/ports.ts'
import type { ServiceLoadView, SidecarLoadView } from '../src/rest/schemas/load.ts'
import type { SidecarConfigView } from '../src/rest/schemas/sidecar-config.ts'
import { systemClock } from '../src/runtime/clock.ts'
import { LoadBook } from '../src/xds/load-reports/load-book.ts'
import type { XdsResource } from '../src/xds/port.ts'
import type { ClientView, HeldResource } from '../src/xds/status/held-resources.ts'
import { endpointType, secretType } from '../src/xds/type-urls.ts'
import { createTestDatabase, type TestDatabase } from './support/database.ts'
import { startRest, type TestRest } from './support/rest.ts'
import { sidecarEntry } from './support/sidecar-entry.ts'

let test: TestDatabase
let rest: TestRest
let loads: LoadBook
let replicas: ReplicaReport[]
let entries: SidecarEntry[]
let held: HeldResource[]

const client: ClientView = {
  node: {
    id: 'web/web-1',
    cluster: 'web',
    locality: { region: '', zone: 'z1' },
    metadata: undefined,
    agent: 'envoy/1.40.0',
    clientFeatures: [],
  },
  resources: () => held,
}

beforeEach(async () => {
  test = await createTestDatabase()
  loads = new LoadBook({ clock: systemClock })
  replicas = []
  entries = []
  held = []
  rest = await startRest(test, {
    loads,
    clients: { client: node => (node === client.node.id ? client : undefined) },
    replicas: () => replicas,
    sidecars: {
      list: () => Promise.resolve({ entries, missing: [] }),
      get: node => {
        const entry = entries.find(one => one.node === node)
        return Promise.resolve(entry === undefined ? undefined : { entry, resources: null })
      },
    },
  })
})

afterEach(async () => {
  await rest.stop()
  await test.destroy()
})

const none: Omit<HeldResource, 'typeUrl' | 'name'> = {
  wanted: undefined,
  version: null,
  acked: null,
  absent: false,
  unanswered: false,
  refusal: null,
}
const endpoints = (weight: number): XdsResource => {
  const endpoint = { id: 'payments-1', address: '10.0.0.7', port: 8_080, weight, health: 'HEALTHY' as const }
  const locality = { region: '', zone: 'z1' }
  const packed = packEndpoints(
    buildEndpoints({ service: 'payments', endpoints: [{ ...endpoint, locality }] }),
  )
  return { ...packed, revision: weight }
}
const config = async (query = '', node = 'web/web-1') =>
  (await rest.ok<SidecarConfigView>('GET', `/sidecars/${node}/config${query}`)).body

it('tells what a sidecar has, and what it should have', async () => {
  const [old, current] = [endpoints(1), endpoints(2)]
  held = [
    { ...none, typeUrl: endpointType, name: 'payments', wanted: current, version: old.version, acked: old },
    // Asked for, refused, or known to be missing.
    { ...none, typeUrl: endpointType, name: 'nobody', absent: true },
    // Of an earlier stream: the version is known, the bytes are not.
    { ...none, typeUrl: endpointType, name: 'old', wanted: current, version: 'abc' },
  ]
  const weight = (loadBalancingWeight: number) => ({
    endpoints: [{ lbEndpoints: [{ loadBalancingWeight }] }],
  })
  expect(await config()).toMatchObject({
    node: 'web/web-1',
    replica: 'replica-1',
    state: 'acked',
    resources: [
      { name: 'payments', version: old.version, revision: 1, config: weight(1) },
      { name: 'old', version: 'abc', revision: null, config: null },
    ],
  })
  expect(await config('?state=wanted&name=payments', 'web%2Fweb-1')).toMatchObject({
    state: 'wanted',
    resources: [{ name: 'payments', version: current.version, revision: 2, config: weight(2) }],
  })
  expect((await config('?type=clusters')).resources).toEqual([])
  expect((await config('?type=endpoints')).resources).toHaveLength(2)
  const wrong = await rest.call('GET', '/sidecars/web/web-1/config?type=all')
  expect(wrong).toMatchObject({ status: 400, body: { code: 'invalid_request' } })
})

it('shows every one of many resources, and no private key', async () => {
  const secret = Secret.fromPartial({ tlsCertificate: { privateKey: { inlineString: 'the key' } } })
  const body = Secret.encode(secret).finish()
  const acked = { name: 'leaf', version: '1', body, revision: 1 }
  held = Array.from({ length: 201 }, (_, n) => ({
    ...none,
    typeUrl: secretType,
    name: `leaf-${n}`,
    version: '1',
    acked,
  }))
  const { resources } = await config('?type=secrets')
  expect(resources).toHaveLength(201)
  expect(new Set(resources.map(({ name }) => name)).size).toBe(201)
  expect(JSON.stringify(resources)).not.toContain('the key')
})

/** A port that nobody listens on. */
const closedPort = () =>
  new Promise<number>(resolve => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => {
        resolve(typeof address === 'object' && address !== null ? address.port : 0)
      })
    })
  })

it('names the replica that knows more and cannot be asked', async () => {
  entries = [sidecarEntry('orders/orders-1', 'r2')]
  const ask = () => rest.call('GET', '/sidecars/orders/orders-1/config')
  expect(await ask()).toMatchObject({ status: 503, body: { code: 'replica_unreachable' } })
  const http = `127.0.0.1:${await closedPort()}`
  const seenAt = new Date(0).toISOString()
  replicas = [{ id: 'r2', startedAt: seenAt, seenAt, http, xds: http }]
  expect(await ask()).toMatchObject({
    status: 503,
    body: { code: 'replica_unreachable', detail: expect.stringContaining(`r2`) as string },
  })
  // It is the other one's answer that is wanted of it, not that of a third.
  const headers = { 'x-waymark-forwarded': 'r3' }
  const forwarded = await rest.call('GET', '/sidecars/orders/orders-1/config', { headers })
  expect(forwarded).toMatchObject({ status: 404, body: { code: 'sidecar_not_found' } })
  const load = await rest.call<SidecarLoadView>('GET', '/sidecars/orders/orders-1/load')
  expect(load.body).toMatchObject({ unreachable: ['r2'], replicas: [] })
})

const counts = (issued: number, failed = 0) => ({
  issued,
  succeeded: issued - failed,
  failed,
  inProgress: 0,
})
const report = (id: string, cluster: string, loadOf: Readonly<Record<string, ReturnType<typeof counts>>>) => {
  const reporter = { id, cluster: 'web', locality: { region: '', zone: 'z1' } }
  const addresses = Object.entries(loadOf).map(([address, one]) => ({
    address,
    ...one,
    metrics: new Map([['cpu_utilization', { count: 1, sum: 0.5 }]]),
  }))
  loads.add(reporter, {
    absurd: 0,
    clusters: [{ cluster, intervalMs: 10_000, dropped: 0, ...counts(0), endpoints: addresses }],
  })
}

it('tells the load of a service by instance and reporter', async () => {
  const register = (id: string, body: object) =>
    rest.ok('PUT', `/services/payments/instances/${id}`, { body: { lease: null, ...body } })
  await register('direct', { address: '10.0.0.1', port: 80 })
  await register('behind', { address: '10.0.0.2', port: 80, sidecar: { port: 15_006 } })
  await register('idle', { address: '10.0.0.3', port: 80 })
  report('web/1', 'payments', { '10.0.0.1:80': counts(5), '10.0.0.2:15006': counts(3, 1) })
  report('web/2', 'payments/v2', { '10.0.0.2:15006': counts(7, 4) })
  report('web/2', 'other', { '10.0.0.1:80': counts(9) })
  report('web/1', 'payments', { '10.0.0.1:80': counts(1), '10.9.9.9:80': counts(2) })

  const { body } = await rest.ok<ServiceLoadView>('GET', '/services/payments/load')
  const told = Object.fromEntries(body.instances.map(one => [one.id ?? one.address, one]))
  expect(told['direct']).toMatchObject({ total: counts(6), last: counts(1), reporterCount: 1 })
  expect(told['behind']).toMatchObject({ total: counts(10, 5), last: counts(0), reporterCount: 2 })
  expect(told['idle']).toMatchObject({ total: counts(0), reporterCount: 0, reporters: [] })
  // Nobody has this address (any more).
  expect(told['10.9.9.9:80']).toMatchObject({ id: null, total: counts(2) })
  expect(told['behind']?.reporters).toMatchObject([
    { node: 'web/2', cluster: 'payments/v2', zone: 'z1', replica: 'replica-1', total: counts(7, 4) },
    { node: 'web/1', cluster: 'payments', total: counts(3, 1) },
  ])
  const nobody = await rest.call('GET', '/services/nobody/load')
  expect(nobody).toMatchObject({ status: 404, body: { code: 'service_not_found' } })

  const own = await rest.call<SidecarLoadView>('GET', '/sidecars/web/1/load')
  expect(own.body.replicas).toMatchObject([
    {
      replica: 'replica-1',
      interval: '10s',
      reports: 2,
      clusters: [
        {
          cluster: 'payments',
          endpoints: [
            { address: '10.0.0.2:15006', instance: 'payments/behind', last: counts(0) },
            {
              address: '10.0.0.1:80',
              instance: 'payments/direct',
              metrics: { cpu_utilization: { count: 1, sum: 0.5 } },
            },
            { address: '10.9.9.9:80', instance: null },
          ],
        },
      ],
    },
  ])
  const silent = await rest.call('GET', '/sidecars/web/9/load')
  expect(silent).toMatchObject({ status: 404, body: { code: 'sidecar_not_found' } })
})
