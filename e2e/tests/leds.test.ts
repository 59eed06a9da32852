/**
 * Why large services come by EDS all the same (docs/adr/016-endpoints-of-large-services.md): what Envoy does with
 * LEDS. A test that fails here after an upgrade of Envoy is good news, and a reason to open the decision again.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ApiVersion } from '@envoyproxy/protos/envoy/config/core/v3/config_source.ts'
import { ClusterLoadAssignment } from '@envoyproxy/protos/envoy/config/endpoint/v3/endpoint.ts'
import { LbEndpoint } from '@envoyproxy/protos/envoy/config/endpoint/v3/endpoint_components.ts'
import { clusterType, endpointType, listenerType } from '@waymark/control-plane/xds/type-urls.ts'
import { freePorts } from '@waymark/deploy/local/ports.ts'
import { Supervisor } from '@waymark/deploy/local/processes.ts'
import { Sidecar } from '@waymark/deploy/local/sidecar.ts'
import { socketAddress } from '@waymark/sidecar-config/envoy/address.ts'
import { buildCluster } from '@waymark/sidecar-config/envoy/cluster.ts'
import { packCluster, packEndpoints } from '@waymark/sidecar-config/envoy/resource.ts'
import { effectivePolicy } from '@waymark/sidecar-config/model/effective-policy.ts'
import { clusterPolicyOf } from '@waymark/sidecar-config/model/traffic-settings.ts'
import { afterEach, beforeEach, describe, expect, inject, it } from 'vitest'
import { eventually, eventuallyHolds } from '../harness/eventually.ts'
import { ScriptedAds, type ScriptedResource } from '../harness/scripted-ads.ts'
import { warmingClusters } from '../harness/warming-clusters.ts'

const memberType = 'type.googleapis.com/envoy.config.endpoint.v3.LbEndpoint'
const collection = 'xdstp:///envoy.config.endpoint.v3.LbEndpoint/payments'
const glob = `${collection}/*`

const cluster = (connect: string): ScriptedResource => {
  const { settings } = effectivePolicy({ caller: null, destination: 'payments', documents: [] })
  const policy = clusterPolicyOf({ ...settings, timeouts: { ...settings.timeouts, connect } })
  return packCluster(buildCluster({ service: 'payments', protocol: 'http', policy }))
}

/** One locality, whose endpoints are a collection. */
const assignment: ScriptedResource = packEndpoints(
  ClusterLoadAssignment.fromPartial({
    clusterName: 'payments',
    endpoints: [
      {
        locality: { region: 'r', zone: 'z' },
        ledsClusterLocalityConfig: {
          ledsCollectionName: glob,
          ledsConfig: { ads: {}, resourceApiVersion: ApiVersion.V3 },
        },
      },
    ],
  }),
)

const member = (port: number, address = '127.0.0.1'): ScriptedResource => ({
  name: `${collection}/${port}`,
  version: '1',
  body: LbEndpoint.encode(
    LbEndpoint.fromPartial({ endpoint: { address: socketAddress(address, port) } }),
  ).finish(),
})

describe('endpoints one by one (LEDS) in Envoy', () => {
  let ads: ScriptedAds
  let directory = ''
  let supervisor: Supervisor
  let envoy: Sidecar

  const hosts = async () =>
    ((await envoy.admin.clusters()).get('payments') ?? []).map(({ port }) => port).sort((a, b) => a - b)
  const hostsBecome = (ports: readonly number[]) =>
    eventuallyHolds(`the hosts ${ports.join(', ')}`, async () => {
      expect(await hosts()).toEqual(ports)
    })
  const put = (...members: ScriptedResource[]) => ads.answered({ typeUrl: memberType, put: members })

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'waymark-leds-'))
    supervisor = new Supervisor({ logDir: directory })
    ads = await ScriptedAds.start()
    const [outbound = 0, inbound = 0, admin = 0] = await freePorts(3)
    envoy = new Sidecar({
      supervisor,
      envoy: inject('envoy'),
      service: 'web',
      instance: 'web-1',
      ports: { outbound, inbound, admin },
      controlPlane: [{ host: '127.0.0.1', port: ads.port }],
      configDir: directory,
    })
    envoy.start()
    await ads.asked(clusterType)
    ads.send({ typeUrl: clusterType, put: [cluster('1s')] })
    await ads.asked(endpointType)
    ads.send({ typeUrl: endpointType, put: [assignment] })
    expect((await ads.asked(memberType)).resourceNamesSubscribe).toEqual([glob])
    expect(await put(member(1), member(2))).toBeNull()
    await ads.asked(listenerType)
    ads.send({ typeUrl: listenerType })
    await hostsBecome([1, 2])
  })

  afterEach(async () => {
    await supervisor.stopAll()
    ads.stop()
    await rm(directory, { recursive: true, force: true })
  })

  it('takes an endpoint alone, and its removal', async () => {
    expect(await put(member(3))).toBeNull()
    await hostsBecome([1, 2, 3])
    expect(await ads.answered({ typeUrl: memberType, remove: [member(1).name] })).toBeNull()
    await hostsBecome([2, 3])
  })

  it('forgets on a new stream what it holds, and keeps what is gone meanwhile', async () => {
    const before = ads.requests.length
    ads.disconnect()
    const request = await ads.asked(memberType, before)
    expect(request.resourceNamesSubscribe).toEqual([glob])
    expect(request.initialResourceVersions).toEqual({})
    expect(await put(member(2))).toBeNull()
    expect(await hosts()).toEqual([1, 2])
  })

  it('does not ask again after a change of the cluster, and takes what comes next for all there is', async () => {
    const before = ads.requests.length
    ads.send({ typeUrl: clusterType, put: [cluster('2s')] })
    expect(await ads.answered({ typeUrl: endpointType, put: [assignment] })).toBeNull()
    expect(await warmingClusters(envoy.admin)).toEqual(['payments'])
    expect(await put(member(3))).toBeNull()
    await hostsBecome([3])
    const asked = ads.requests.slice(before).filter(({ typeUrl }) => typeUrl === memberType)
    expect(asked.flatMap(request => request.resourceNamesSubscribe)).toEqual([])
  })

  it('ends at an endpoint that is not an IP address, which it refuses by EDS', async () => {
    ads.send({ typeUrl: memberType, put: [member(3, 'not-an-address')] })
    await eventually('the end of Envoy', () => envoy.pid === null)
  })
})
