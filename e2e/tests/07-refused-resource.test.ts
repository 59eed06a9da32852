import { clusterType, endpointType } from '@waymark/control-plane/xds/type-urls.ts'
import {
  Cluster,
  Cluster_DiscoveryType,
  Cluster_LbPolicy,
} from '@envoyproxy/protos/envoy/config/cluster/v3/cluster.ts'
import { ApiVersion } from '@envoyproxy/protos/envoy/config/core/v3/config_source.ts'
import { ClusterLoadAssignment } from '@envoyproxy/protos/envoy/config/endpoint/v3/endpoint.ts'
import { expect, it, onTestFinished } from 'vitest'
import { createTestDatabase } from '../../control-plane/test/support/database.ts'
import { eventually, eventuallyHolds } from '../harness/eventually.ts'
import { startForcedReplica } from '../harness/forced-replica.ts'
import { startTestMesh } from '../harness/story.ts'
import { waymarkWithin } from '../harness/waymark.ts'

const waymark = waymarkWithin(30_000)

const overAds = { ads: {}, resourceApiVersion: ApiVersion.V3 }

/** Envoy refuses it when it builds the balancer, and leaves it in warming: the worst kind (envoy.md, section 2). */
const ringTooSmall = Cluster.encode(
  Cluster.fromPartial({
    name: 'payments',
    type: Cluster_DiscoveryType.EDS,
    edsClusterConfig: { edsConfig: overAds },
    lbPolicy: Cluster_LbPolicy.RING_HASH,
    ringHashLbConfig: { minimumRingSize: 1_000, maximumRingSize: 10 },
  }),
).finish()

/** A constraint of the proto is broken: nothing of the response is applied. */
const negativeTimeout = Cluster.encode(
  Cluster.fromPartial({
    name: 'payments',
    type: Cluster_DiscoveryType.EDS,
    edsClusterConfig: { edsConfig: overAds },
    connectTimeout: { seconds: -1, nanos: 0 },
  }),
).finish()

const wrongName = ClusterLoadAssignment.encode(
  ClusterLoadAssignment.fromPartial({ clusterName: 'somebody-else' }),
).finish()

it('a sidecar refuses what is invalid, keeps working, and its words can be read', async () => {
  const database = await createTestDatabase()
  onTestFinished(() => database.destroy())
  const databaseUrl = database.connection.url
  const { xds, source } = await startForcedReplica(databaseUrl)
  // REST and the registration of the others come from a replica of the usual kind.
  const mesh = await startTestMesh({ databaseUrl, replicas: 1 })
  const orders = await mesh.instance({ service: 'orders', id: 'orders-1', controlPlane: [xds] })
  await mesh.instance({ service: 'payments', id: 'payments-1' })
  await mesh.reaches(orders, 'payments', ['payments-1'])
  const load = orders.load({ authority: 'payments', perSecond: 100, clients: 8 })

  const faults = [
    { typeUrl: clusterType, body: ringTooSmall, words: /ring/i },
    { typeUrl: clusterType, body: negativeTimeout, words: /Expected positive duration/ },
    { typeUrl: endpointType, body: wrongName, words: /Unexpected EDS cluster/ },
  ]
  for (const [round, { typeUrl, body, words }] of faults.entries()) {
    source.force(typeUrl, 'payments', body)
    const nack = await eventually('the NACK to be shown', async () => {
      const { nacks } = await mesh.api.sidecar(orders.node)
      return nacks.find(({ names }) => names.join() === 'payments')
    })
    expect(nack).toMatchObject({ typeUrl, names: ['payments'] })
    expect(nack.message).toMatch(words)
    // The list tells of another replica's sidecars as that one last wrote them down.
    await eventuallyHolds('the list to tell of it', async () => {
      const told = await waymark(mesh.api.url, 'sync')
      expect(told.stdout).toMatch(/orders\/orders-1 refused (CDS|EDS|Cluster|ClusterLoadAssignment) payments/)
      expect(told.stdout).toMatch(words)
      expect(told.code).toBe(1)
    })

    // Other changes reach it as before.
    const service = `refunds-${round}`
    await mesh.instance({ service, id: `${service}-1` })
    await mesh.reaches(orders, service, [`${service}-1`])
    const { status } = await orders.get('payments')
    expect(status).toBe(200)

    source.release(typeUrl, 'payments')
    await eventually('all to be well again', async () => {
      const { nacks, inSync } = await mesh.api.sidecar(orders.node)
      return nacks.length === 0 && inSync
    })
    await eventuallyHolds('the list to tell that all is well', async () => {
      expect(await waymark(mesh.api.url, 'sync', '--wait', '5s')).toMatchObject({ code: 0 })
    })
  }
  const report = await load.stop()
  expect(report.failed, JSON.stringify(report)).toBe(0)
})
