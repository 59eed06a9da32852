import { credentials, status } from '@grpc/grpc-js'
import { ClientResourceStatus } from '@envoyproxy/protos/envoy/admin/v3/config_dump_shared.ts'
import {
  ClientStatusDiscoveryServiceClient,
  ClientStatusRequest,
  ConfigStatus,
  type ClientStatusResponse,
} from '@envoyproxy/protos/envoy/service/status/v3/csds.ts'
import { expect, onTestFinished, test } from 'vitest'
import { systemClock } from '../../runtime/clock.ts'
import { resource, ServerFixture } from '../testing/server-fixture.ts'
import { clusterType, endpointType, secretType } from '../type-urls.ts'
import type { ClientView } from '../status/held-resources.ts'
import { ClientStatusService, type ClientStatusOptions } from './client-status-service.ts'

type Request = Parameters<typeof ClientStatusRequest.fromPartial>[0]

const start = async (options: Partial<ClientStatusOptions> = {}) => {
  let fixture: ServerFixture | undefined
  const clients = (): Iterable<ClientView> => fixture?.server.book.clients() ?? []
  const service = new ClientStatusService({ clients, clock: systemClock, ...options })
  const started = (fixture = await ServerFixture.start({ services: [service] }))
  onTestFinished(() => started[Symbol.asyncDispose]())
  const { host, port } = started.address
  const tool = new ClientStatusDiscoveryServiceClient(`${host}:${port}`, credentials.createInsecure(), {
    'grpc.max_receive_message_length': -1,
  })
  onTestFinished(() => {
    tool.close()
  })
  const fetch = (request: Request = {}): Promise<ClientStatusResponse> =>
    new Promise((resolve, reject) => {
      tool.fetchClientStatus(ClientStatusRequest.fromPartial(request), (error, response) => {
        if (error === null) resolve(response)
        else reject(error)
      })
    })
  /** The ids of the nodes that a matcher fits. */
  const nodes = async (nodeId: object): Promise<string[]> =>
    (await fetch({ nodeMatchers: [{ nodeId }], excludeResourceContents: true })).config
      .map(({ node }) => node?.id ?? '')
      .toSorted()
  return { fixture: started, service, tool, fetch, nodes }
}

test('each resource is told with its status, the refused one with the words of the client', async () => {
  const { fixture, fetch } = await start()
  fixture.put(resource(clusterType, 'good', 'v1'))
  const client = fixture.connect('web/1')
  client.send({ typeUrl: clusterType })
  await client.take()
  client.send({ typeUrl: endpointType, resourceNamesSubscribe: ['missing'] })
  await client.take()
  fixture.put(resource(secretType, 'key', 'private'))
  client.send({ typeUrl: secretType, resourceNamesSubscribe: ['key'] })
  await client.take()
  fixture.put(resource('test/slow', 'asked'))
  client.send({ typeUrl: 'test/slow', resourceNamesSubscribe: ['asked'] })
  await client.next()
  fixture.put(resource('test/bad', 'bad', 'v2'))
  client.send({ typeUrl: 'test/bad', resourceNamesSubscribe: ['bad'] })
  client.nack(await client.next(), 'no such thing')
  await client.settle()

  const [config] = (await fetch()).config
  expect(config?.node).toMatchObject({ id: 'web/1', cluster: 'test' })
  const told = new Map(config?.genericXdsConfigs.map(one => [one.name, one]))
  expect(told.get('good')).toMatchObject({
    typeUrl: clusterType,
    xdsConfig: { typeUrl: clusterType, value: Buffer.from('v1') },
    clientStatus: ClientResourceStatus.ACKED,
    configStatus: ConfigStatus.SYNCED,
  })
  expect(told.get('good')?.versionInfo).not.toBe('')
  expect(told.get('missing')).toMatchObject({
    clientStatus: ClientResourceStatus.DOES_NOT_EXIST,
    configStatus: ConfigStatus.SYNCED,
    xdsConfig: undefined,
  })
  expect(told.get('asked')).toMatchObject({
    clientStatus: ClientResourceStatus.REQUESTED,
    configStatus: ConfigStatus.STALE,
  })
  expect(told.get('bad')).toMatchObject({
    clientStatus: ClientResourceStatus.NACKED,
    configStatus: ConfigStatus.ERROR,
    errorState: { details: 'no such thing' },
    versionInfo: '',
  })
  // Its bytes hold a private key.
  expect(told.get('key')).toMatchObject({ clientStatus: ClientResourceStatus.ACKED, xdsConfig: undefined })

  const [without] = (await fetch({ excludeResourceContents: true })).config
  const bare = without?.genericXdsConfigs.find(({ name }) => name === 'good')
  expect(bare).toMatchObject({ xdsConfig: undefined, clientStatus: ClientResourceStatus.ACKED })
})

test('nodes are matched by id as a StringMatcher says', async () => {
  const { fixture, nodes, fetch } = await start()
  for (const node of ['web/1', 'web/2', 'orders/1']) {
    const client = fixture.connect(node)
    client.send({ typeUrl: clusterType })
    await client.take()
  }
  expect(await nodes({ exact: 'web/1' })).toEqual(['web/1'])
  expect(await nodes({ exact: 'WEB/1' })).toEqual([])
  expect(await nodes({ exact: 'WEB/1', ignoreCase: true })).toEqual(['web/1'])
  expect(await nodes({ prefix: 'web/' })).toEqual(['web/1', 'web/2'])
  expect(await nodes({ suffix: '/1' })).toEqual(['orders/1', 'web/1'])
  expect(await nodes({ contains: 'rder' })).toEqual(['orders/1'])
  expect(await nodes({ safeRegex: { regex: '(web|orders)/1' } })).toEqual(['orders/1', 'web/1'])
  // The whole id must fit.
  expect(await nodes({ safeRegex: { regex: 'web' } })).toEqual([])
  const either = [{ nodeId: { exact: 'web/1' } }, { nodeId: { exact: 'web/2' } }]
  expect((await fetch({ nodeMatchers: either })).config).toHaveLength(2)
})

test('what cannot be answered is refused and says why', async () => {
  const { fixture, fetch, nodes } = await start({ maxResponseBytes: 1_000 })
  fixture.put(resource(clusterType, 'large', 'x'.repeat(2_000)))
  const client = fixture.connect('web/1')
  client.send({ typeUrl: clusterType })
  await client.take()
  await client.settle()
  const refused = async (request: Request, code: status, words: RegExp) => {
    const answer = fetch(request)
    await expect(answer).rejects.toMatchObject({ code })
    await expect(answer).rejects.toThrow(words)
  }
  await refused({ nodeMatchers: [{ nodeMetadatas: [{}] }] }, status.INVALID_ARGUMENT, /node_metadatas/)
  const regex = { safeRegex: { regex: '(' } }
  await refused({ nodeMatchers: [{ nodeId: regex }] }, status.INVALID_ARGUMENT, /RE2/)
  await refused({ nodeMatchers: [{ nodeId: {} }] }, status.INVALID_ARGUMENT, /must be exact/)
  await refused({}, status.RESOURCE_EXHAUSTED, /exclude_resource_contents/)
  expect(await nodes({ exact: 'web/1' })).toEqual(['web/1'])
})

test('a stream answers each request in its turn, with what is so then', async () => {
  const { fixture, tool } = await start()
  const call = tool.streamClientStatus()
  const answers = (call as AsyncIterable<ClientStatusResponse>)[Symbol.asyncIterator]()
  const next = async () => ((await answers.next()).value as ClientStatusResponse).config.length
  call.write(ClientStatusRequest.fromPartial({}))
  expect(await next()).toBe(0)
  const client = fixture.connect('web/1')
  client.send({ typeUrl: clusterType })
  await client.take()
  for (let n = 0; n < 3; n += 1) call.write(ClientStatusRequest.fromPartial({}))
  call.end()
  expect([await next(), await next(), await next()]).toEqual([1, 1, 1])
  expect((await answers.next()).done).toBe(true)
})

test('requests, refusals and bytes of answers are counted', async () => {
  const { service, fetch } = await start({ maxResponseBytes: 1 })
  await fetch()
  expect(service.counters).toEqual({ requests: 1, refused: 0, bytes: 0 })
  const other = await start({ maxResponseBytes: 1 })
  other.fixture.put(resource(clusterType, 'good'))
  const client = other.fixture.connect('web/1')
  client.send({ typeUrl: clusterType })
  await client.take()
  await expect(other.fetch()).rejects.toMatchObject({ code: status.RESOURCE_EXHAUSTED })
  expect(other.service.counters).toEqual({ requests: 1, refused: 1, bytes: 0 })
  const third = await start()
  third.fixture.connect('web/1').send({ typeUrl: clusterType })
  await third.fixture.until(() => third.fixture.server.book.stream('web/1') !== undefined)
  await third.fetch()
  expect(third.service.counters.bytes).toBeGreaterThan(0)
})
