import { status } from '@grpc/grpc-js'
import type {
  DiscoveryRequest,
  DiscoveryResponse,
} from '@envoyproxy/protos/envoy/service/discovery/v3/discovery.ts'
import { expect, test } from 'vitest'
import { resource, ServerFixture } from '../testing/server-fixture.ts'
import { deltaCodec, sotwCodec, StreamClient } from '../testing/stream-client.ts'
import { clusterType, endpointType, listenerType } from '../type-urls.ts'
import { discoveryServices } from './discovery-services.ts'

const node = { id: 'web/1', cluster: 'web' }
const separate = discoveryServices.flatMap(service =>
  service.typeUrl === undefined ? [] : [{ ...service, typeUrl: service.typeUrl }],
)
const sotwAds = '/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources'

const bodies = (resources: { value: Uint8Array }[]): string[] =>
  resources.map(({ value }) => Buffer.from(value).toString()).sort()

/** Proves silence: a request that is answered last, of a type of its own; resolves with what came before. */
async function untilMarker(client: StreamClient<DiscoveryRequest, DiscoveryResponse>): Promise<string[]> {
  client.send({ typeUrl: 'test/marker', resourceNames: ['*'] })
  const seen: string[] = []
  for (;;) {
    const { typeUrl, resources, nonce } = await client.next()
    if (typeUrl !== 'test/marker') seen.push(...bodies(resources))
    else {
      client.send({ typeUrl, resourceNames: ['*'], responseNonce: nonce })
      return seen
    }
  }
}

test('each service of one type serves it without being told the type, in both forms', async () => {
  await using fixture = await ServerFixture.start()
  expect(separate.length).toBe(11)
  for (const { path, form, typeUrl } of separate) {
    fixture.put(resource(typeUrl, 'a', `of ${path}`))
    if (form === 'delta') {
      using client = new StreamClient(fixture.address, path, deltaCodec)
      client.send({ node, resourceNamesSubscribe: ['a'] })
      const response = await client.next()
      expect([response.typeUrl, response.resources.map(({ name }) => name)]).toEqual([typeUrl, ['a']])
    } else {
      using client = new StreamClient(fixture.address, path, sotwCodec)
      client.send({ node, resourceNames: ['a'] })
      const response = await client.next()
      expect([response.typeUrl, bodies(response.resources)]).toEqual([typeUrl, [`of ${path}`]])
    }
  }
})

test('X9 a service of one type refuses any other', async () => {
  await using fixture = await ServerFixture.start()
  for (const { path } of separate.filter(({ form }) => form === 'delta')) {
    using client = new StreamClient(fixture.address, path, deltaCodec)
    client.send({ node, typeUrl: 'test/other' })
    expect((await client.ended).code).toBe(status.INVALID_ARGUMENT)
  }
  for (const { path } of separate.filter(({ form }) => form === 'sotw')) {
    using client = new StreamClient(fixture.address, path, sotwCodec)
    client.send({ node, typeUrl: 'test/other' })
    expect((await client.ended).code).toBe(status.INVALID_ARGUMENT)
  }
})

test('the streams of one node by several services have one status', async () => {
  await using fixture = await ServerFixture.start()
  fixture.put(resource(clusterType, 'a'), resource(endpointType, 'a'))
  const service = (typeUrl: string) =>
    separate.find(each => each.typeUrl === typeUrl && each.form === 'delta')?.path ?? ''
  using clusters = new StreamClient(fixture.address, service(clusterType), deltaCodec)
  using endpoints = new StreamClient(fixture.address, service(endpointType), deltaCodec)
  clusters.send({ node })
  clusters.send({ responseNonce: (await clusters.next()).nonce })
  endpoints.send({ node, resourceNamesSubscribe: ['a'] })
  endpoints.send({ responseNonce: (await endpoints.next()).nonce })
  await fixture.until(() => fixture.server.book.stream('web/1')?.inSync === true)
  const types = fixture.server.book.stream('web/1')?.types.map(({ typeUrl, acked }) => [typeUrl, acked])
  expect(types).toEqual([
    [endpointType, 1],
    [clusterType, 1],
  ])
})

test('X14 X24 over the wire: full state for clusters, changes for endpoints, stale requests ignored', async () => {
  await using fixture = await ServerFixture.start()
  fixture.put(resource(clusterType, 'a', 'c1'), resource(clusterType, 'b', 'c2'))
  fixture.put(resource(endpointType, 'a', 'e1'), resource(endpointType, 'b', 'e2'))
  using client = new StreamClient(fixture.address, sotwAds, sotwCodec)
  client.send({ node, typeUrl: clusterType })
  const clusters = await client.next()
  expect(bodies(clusters.resources)).toEqual(['c1', 'c2'])
  client.send({ typeUrl: clusterType, versionInfo: clusters.versionInfo, responseNonce: clusters.nonce })
  client.send({ typeUrl: endpointType, resourceNames: ['a'] })
  const first = await client.next()
  expect(bodies(first.resources)).toEqual(['e1'])
  client.send({ typeUrl: endpointType, resourceNames: ['a', 'b'], responseNonce: first.nonce })
  const second = await client.next()
  expect(bodies(second.resources)).toEqual(['e2'])
  fixture.put(resource(endpointType, 'c', 'e3'))
  client.send({ typeUrl: endpointType, resourceNames: ['a', 'b', 'c'], responseNonce: first.nonce })
  client.send({ typeUrl: endpointType, resourceNames: ['a', 'b'], responseNonce: second.nonce })
  expect(await untilMarker(client)).toEqual([])
  fixture.source.apply({ remove: [{ typeUrl: clusterType, name: 'a' }] })
  expect(bodies((await client.next()).resources)).toEqual(['c2'])
})

test('X11 X24 over the wire: a wildcard that comes back with the version of what it has gets nothing', async () => {
  await using fixture = await ServerFixture.start()
  await using other = await ServerFixture.start({ source: fixture.source })
  fixture.put(resource(listenerType, 'a', 'l1'))
  using before = new StreamClient(fixture.address, sotwAds, sotwCodec)
  before.send({ node, typeUrl: listenerType })
  const { versionInfo } = await before.next()
  using after = new StreamClient(other.address, sotwAds, sotwCodec)
  after.send({ node, typeUrl: listenerType, versionInfo })
  expect(await untilMarker(after)).toEqual([])
})

test('X16 X24 over the wire: what is refused is not sent again until it changes, and the status tells', async () => {
  await using fixture = await ServerFixture.start()
  fixture.put(resource(listenerType, 'a', 'bad'))
  using client = new StreamClient(fixture.address, sotwAds, sotwCodec)
  client.send({ node, typeUrl: listenerType, resourceNames: ['a'] })
  const refused = await client.next()
  const names = { typeUrl: listenerType, resourceNames: ['a'] }
  client.send({
    ...names,
    responseNonce: refused.nonce,
    errorDetail: { code: 3, message: 'no', details: [] },
  })
  // A client that had it from an earlier stream must learn what is left without it.
  const left = await client.next()
  expect(bodies(left.resources)).toEqual([])
  client.send({ ...names, responseNonce: left.nonce })
  expect(await untilMarker(client)).toEqual([])
  expect(fixture.server.book.stream('web/1')?.nacks).toMatchObject([{ names: ['a'], message: 'no' }])
  fixture.put(resource(listenerType, 'a', 'good'))
  expect(bodies((await client.next()).resources)).toEqual(['good'])
})

test('X16 a response refused on a service of one type is settled there, and holds no other stream back', async () => {
  await using fixture = await ServerFixture.start()
  const path = (form: string, typeUrl: string) =>
    separate.find(each => each.form === form && each.typeUrl === typeUrl)?.path ?? ''
  using clusters = new StreamClient(fixture.address, path('delta', clusterType), deltaCodec)
  using endpoints = new StreamClient(fixture.address, path('sotw', endpointType), sotwCodec)
  const names = { resourceNames: ['a'] }
  const errorDetail = { code: 3, message: 'no', details: [] }
  fixture.put(resource(clusterType, 'a', 'c1'), resource(endpointType, 'a', 'e1'))
  clusters.send({ node })
  clusters.send({ responseNonce: (await clusters.next()).nonce })
  endpoints.send({ node, ...names })
  endpoints.send({ ...names, responseNonce: (await endpoints.next()).nonce })

  fixture.put(resource(clusterType, 'a', 'bad'), resource(endpointType, 'a', 'bad'))
  clusters.send({ responseNonce: (await clusters.next()).nonce, errorDetail })
  // A refused cluster is at once replaced by the one before.
  const back = await clusters.next()
  expect(bodies(back.resources.flatMap(({ resource: any }) => any ?? []))).toEqual(['c1'])
  clusters.send({ responseNonce: back.nonce })
  const refused = await endpoints.next()
  endpoints.send({ ...names, responseNonce: refused.nonce, errorDetail })
  await fixture.until(() => fixture.server.book.stream('web/1')?.nacks.length === 2)
  const nacks = fixture.server.book.stream('web/1')?.nacks.map(({ typeUrl, names: of }) => [typeUrl, of])
  expect(nacks).toHaveLength(2)
  expect(nacks).toEqual(expect.arrayContaining([clusterType, endpointType].map(type => [type, ['a']])))

  fixture.put(resource(endpointType, 'a', 'e2'))
  expect(bodies((await endpoints.next()).resources)).toEqual(['e2'])
  fixture.put(resource(clusterType, 'a', 'c2'))
  const good = await clusters.next()
  expect(bodies(good.resources.flatMap(({ resource: any }) => any ?? []))).toEqual(['c2'])
})
