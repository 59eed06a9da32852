import { Cluster } from '@envoyproxy/protos/envoy/config/cluster/v3/cluster.ts'
import type { SidecarConfigView } from '@waymark/control-plane/rest/schemas/sidecar-config.ts'
import { clusterType } from '@waymark/control-plane/xds/type-urls.ts'
import { expect, it, onTestFinished } from 'vitest'
import { createTestDatabase } from '../../control-plane/test/support/database.ts'
import { Api } from '../harness/api.ts'
import { eventually, eventuallyHolds } from '../harness/eventually.ts'
import { startForcedReplica } from '../harness/forced-replica.ts'
import { startTestMesh } from '../harness/story.ts'
import { waymarkWithin } from '../harness/waymark.ts'

const waymark = waymarkWithin(30_000)

it('a sidecar in sync shows no difference to its own config dump, whatever policies are applied', async () => {
  const mesh = await startTestMesh({ replicas: 2 })
  const orders = await mesh.instance({ service: 'orders', id: 'orders-1' })
  const payments = await mesh.instance({ service: 'payments', id: 'payments-1' })
  await mesh.instance({ service: 'payments', id: 'payments-2', registration: { weight: 7 } })
  await mesh.api.apply('TrafficPolicy', 'payments', {
    retries: { attempts: 3 },
    outlierDetection: { interval: '1500ms' },
  })
  for (const { node, sidecar } of [orders, payments]) {
    const admin = `http://127.0.0.1:${sidecar.ports.admin}`
    // Either replica answers, whichever serves the sidecar.
    for (const { api } of mesh.replicas) {
      const told = await waymark(api.url, 'sync', '--diff', node, '--admin', admin, '--wait', '15s')
      expect(told.stdout).toMatch(/has what it should have: \d+ resources, no difference/)
      expect(told.code).toBe(0)
    }
  }
  const { resources } = await mesh.api.get<SidecarConfigView>(`/sidecars/${orders.node}/config?type=clusters`)
  expect(resources.map(({ name }) => name).toSorted()).toEqual(['_inbound', 'orders', 'payments'])
  expect(resources.find(({ name }) => name === 'payments')?.config).toMatchObject({
    type: 'EDS',
    outlierDetection: { interval: '1.5s' },
    typedExtensionProtocolOptions: {
      'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': { commonHttpProtocolOptions: {} },
    },
  })
  // Draining is no difference either: both sides say so.
  await mesh.api.deregister('payments', 'payments-2', '60s')
  const admin = `http://127.0.0.1:${orders.sidecar.ports.admin}`
  const told = await waymark(mesh.api.url, 'sync', '--diff', orders.node, '--admin', admin, '--wait', '15s')
  expect(told).toMatchObject({ code: 0 })

  const other = await waymark(mesh.api.url, 'sync', '--diff', payments.node, '--admin', admin)
  expect(other.code).toBe(3)
  expect(other.stderr).toContain('is orders/orders-1, not payments/payments-1')
})

it('a sidecar that refuses a cluster and keeps the old one shows exactly the field that differs', async () => {
  const database = await createTestDatabase()
  onTestFinished(() => database.destroy())
  const { app, http, xds, source } = await startForcedReplica(database.connection.url)
  const mesh = await startTestMesh({ databaseUrl: database.connection.url, replicas: 1 })
  const orders = await mesh.instance({ service: 'orders', id: 'orders-1', controlPlane: [xds] })
  await mesh.instance({ service: 'payments', id: 'payments-1' })
  await mesh.reaches(orders, 'payments', ['payments-1'])

  const url = `http://127.0.0.1:${http.port}`
  const admin = `http://127.0.0.1:${orders.sidecar.ports.admin}`
  const diff = (...more: string[]) => waymark(url, 'sync', '--diff', orders.node, '--admin', admin, ...more)
  expect(await diff('--wait', '15s')).toMatchObject({ code: 0 })

  const client = await eventually('the stream', () => app.xds.book.client(orders.node))
  expect(client.node.id).toBe(orders.node)
  const held = [...client.resources()].find(one => one.typeUrl === clusterType && one.name === 'payments')
  const body = held?.wanted?.body
  if (body === undefined || body === null) throw new Error('the sidecar has no cluster payments')
  const cluster = Cluster.decode(body)
  // A constraint of the proto: Envoy refuses it and keeps what it has.
  cluster.connectTimeout = { seconds: -7, nanos: 0 }
  source.force(clusterType, 'payments', Cluster.encode(cluster).finish())
  await eventuallyHolds('the refusal', async () => {
    const { nacks } = await new Api(url).sidecar(orders.node)
    expect(nacks).toHaveLength(1)
  })
  const told = await diff('--json')
  expect(told.code).toBe(1)
  expect(JSON.parse(told.stdout)).toMatchObject({
    differences: [
      {
        kind: 'cluster',
        name: 'payments',
        path: 'connectTimeout',
        what: 'different',
        ours: '-7s',
        theirs: '1s',
      },
    ],
  })
  const table = await diff()
  expect(table.stdout).toMatch(/1 differences? in 1 of \d+ resources/)
  expect(table.stdout).toMatch(/cluster payments +connectTimeout +"-7s" +"1s"/)

  source.release(clusterType, 'payments')
  expect(await diff('--wait', '15s')).toMatchObject({ code: 0 })
})
