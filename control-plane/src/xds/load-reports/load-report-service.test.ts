import { credentials, status, type ClientDuplexStream, type StatusObject } from '@grpc/grpc-js'
import {
  LoadReportingServiceClient,
  LoadStatsRequest,
  type LoadStatsResponse,
} from '@envoyproxy/protos/envoy/service/load_stats/v3/lrs.ts'
import { expect, onTestFinished, test } from 'vitest'
import { systemClock } from '../../runtime/clock.ts'
import { silentLogger } from '../../runtime/logger.ts'
import { MemorySource } from '../memory-source.ts'
import { resource, ServerFixture } from '../testing/server-fixture.ts'
import { clusterType } from '../type-urls.ts'
import { LoadBook } from './load-book.ts'
import { LoadReportService } from './load-report-service.ts'

const sendAll = ['envoy.lrs.supports_send_all_clusters']
type Request = Parameters<typeof LoadStatsRequest.fromPartial>[0]

/** An LRS client over a real socket. */
class LoadClient {
  readonly ended: Promise<StatusObject>
  readonly #call: ClientDuplexStream<LoadStatsRequest, LoadStatsResponse>
  readonly #responses: AsyncIterator<LoadStatsResponse>

  constructor(target: string) {
    const client = new LoadReportingServiceClient(target, credentials.createInsecure())
    onTestFinished(() => {
      client.close()
    })
    this.#call = client.streamLoadStats()
    this.#call.on('error', () => undefined)
    this.ended = new Promise(resolve => this.#call.once('status', resolve))
    this.#responses = (this.#call as AsyncIterable<LoadStatsResponse>)[Symbol.asyncIterator]()
  }

  send(request: Request): void {
    this.#call.write(LoadStatsRequest.fromPartial(request))
  }

  async next(): Promise<LoadStatsResponse> {
    return (await this.#responses.next()).value as LoadStatsResponse
  }

  close(): void {
    this.#call.cancel()
  }
}

const start = async (options: { intervalMs?: number; maxStreams?: number } = {}) => {
  const source = new MemorySource()
  const common = { clock: systemClock, logger: silentLogger }
  const book = new LoadBook(common)
  const service = new LoadReportService({ ...common, book, source, intervalMs: 30_000, ...options })
  const fixture = await ServerFixture.start({ source, services: [service] })
  onTestFinished(() => fixture[Symbol.asyncDispose]())
  const { host, port } = fixture.address
  return { book, service, fixture, connect: () => new LoadClient(`${host}:${port}`) }
}

const report = (id: string, issued: number): Request => ({
  // As Envoy does, in every report.
  node: { id, cluster: 'web', clientFeatures: sendAll, extensions: [{ name: 'x'.repeat(60_000) }] },
  clusterStats: [
    {
      clusterName: 'payments',
      loadReportInterval: { seconds: 30, nanos: 0 },
      upstreamLocalityStats: [
        {
          totalIssuedRequests: issued,
          upstreamEndpointStats: [
            {
              address: { socketAddress: { address: '10.0.0.7', portValue: 8_080 } },
              totalIssuedRequests: issued,
            },
          ],
        },
      ],
    },
  ],
})
const issuedBy = (book: LoadBook, node: string): number =>
  [...(book.reporter(node)?.clusters() ?? [])]
    .flatMap(cluster => [...cluster.endpoints()])
    .reduce((sum, { total }) => sum + total.issued, 0)

test('a sidecar is asked for all clusters by endpoint, and what it reports is in the book', async () => {
  const { book, service, fixture, connect } = await start({ intervalMs: 12_500 })
  const client = connect()
  client.send(report('web/1', 3))
  expect(await client.next()).toEqual({
    clusters: [],
    sendAllClusters: true,
    loadReportingInterval: { seconds: 12, nanos: 500_000_000 },
    reportEndpointGranularity: true,
  })
  client.send(report('web/1', 4))
  await fixture.until(() => issuedBy(book, 'web/1') === 7)
  // The node of the first message counts.
  client.send(report('web/2', 5))
  await fixture.until(() => issuedBy(book, 'web/1') === 12)
  expect(book.reporter('web/2')).toBeUndefined()
  expect(service.counters).toMatchObject({ streams: 1, reports: 3, refused: 0, absurd: 0 })
  client.close()
  await fixture.until(() => service.counters.streams === 0)
})

test('two streams of one node count together', async () => {
  const { book, fixture, connect } = await start()
  for (const client of [connect(), connect()]) client.send(report('web/1', 3))
  await fixture.until(() => issuedBy(book, 'web/1') === 6)
  expect(book.size.reporters).toBe(1)
})

test('a client that cannot report all clusters is told them by name, and told again when they change', async () => {
  const { fixture, connect } = await start()
  fixture.put(resource(clusterType, 'payments'))
  const client = connect()
  client.send({ node: { id: 'web/1' } })
  expect(await client.next()).toMatchObject({ clusters: ['payments'], sendAllClusters: false })
  fixture.put(resource(clusterType, 'refunds'))
  client.send({ node: { id: 'web/1' } })
  expect((await client.next()).clusters.toSorted()).toEqual(['payments', 'refunds'])
})

test('a stream without a node, too many streams and too many reports are refused', async () => {
  const { service, connect } = await start({ maxStreams: 1 })
  const nameless = connect()
  nameless.send({})
  expect(await nameless.ended).toMatchObject({ code: status.INVALID_ARGUMENT })
  const hasty = connect()
  hasty.send(report('web/1', 1))
  await hasty.next()
  expect(await connect().ended).toMatchObject({ code: status.RESOURCE_EXHAUSTED })
  for (let n = 0; n < 20; n += 1) hasty.send(report('web/1', 1))
  expect(await hasty.ended).toMatchObject({ code: status.RESOURCE_EXHAUSTED })
  expect(service.counters).toMatchObject({ streams: 0, refused: 3 })
})

test('when the server stops, its clients are told to go elsewhere', async () => {
  const { fixture, connect } = await start()
  const client = connect()
  client.send(report('web/1', 1))
  await client.next()
  await fixture.stop()
  expect(await client.ended).toMatchObject({ code: status.UNAVAILABLE })
})

test('without a pause between reports it is not built', () => {
  const common = { clock: systemClock, logger: silentLogger, source: new MemorySource() }
  const book = new LoadBook(common)
  expect(() => new LoadReportService({ ...common, book, intervalMs: 0 })).toThrow(RangeError)
})
