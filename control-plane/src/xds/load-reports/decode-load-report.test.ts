import { LoadStatsRequest } from '@envoyproxy/protos/envoy/service/load_stats/v3/lrs.ts'
import { BinaryWriter } from '@bufbuild/protobuf/wire'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { decodeLoadNode, decodeLoadReport } from './decode-load-report.ts'

const count = fc.oneof(fc.nat(1_000), fc.maxSafeNat())
const counts = {
  totalIssuedRequests: count,
  totalSuccessfulRequests: count,
  totalErrorRequests: count,
  totalRequestsInProgress: fc.nat(100),
}
const endpoint = fc.record({
  ...counts,
  address: fc.record({
    socketAddress: fc.record({
      address: fc.constantFrom('10.0.0.1', '10.0.0.2', 'fd00::1'),
      portValue: fc.integer({ min: 1, max: 65_535 }),
    }),
  }),
  loadMetricStats: fc.uniqueArray(
    fc.record({
      metricName: fc.constantFrom('cpu_utilization', 'named_metrics.q'),
      numRequestsFinishedWithMetric: fc.nat(),
      totalMetricValue: fc.double({ noNaN: true, noDefaultInfinity: true }),
    }),
    { selector: ({ metricName }) => metricName, maxLength: 2 },
  ),
})
const locality = fc.record({
  ...counts,
  locality: fc.record({ region: fc.string(), zone: fc.string() }),
  upstreamEndpointStats: fc.array(endpoint, { maxLength: 4 }),
})
const cluster = fc.record({
  clusterName: fc.string({ minLength: 1, maxLength: 40 }),
  clusterServiceName: fc.string(),
  loadReportInterval: fc.record({ seconds: fc.nat(100), nanos: fc.nat(999).map(ms => ms * 1_000_000) }),
  totalDroppedRequests: fc.nat(),
  // Sums of localities beyond 2^53 are capped; here they are told exactly.
  upstreamLocalityStats: fc.array(locality, { maxLength: 1 }),
})
const request = fc.record({
  node: fc.record({ id: fc.string(), extensions: fc.array(fc.record({ name: fc.string() })) }),
  clusterStats: fc.uniqueArray(cluster, { selector: ({ clusterName }) => clusterName, maxLength: 5 }),
})

const text = (address: string, port: number) =>
  address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
const encode = (message: Parameters<typeof LoadStatsRequest.fromPartial>[0]) =>
  LoadStatsRequest.encode(LoadStatsRequest.fromPartial(message)).finish()

test('every counter is read as a protobuf library wrote it', () => {
  fc.assert(
    fc.property(request, message => {
      const { clusters, absurd } = decodeLoadReport(encode(message))
      expect(absurd).toBe(0)
      for (const expected of message.clusterStats) {
        const [only] = expected.upstreamLocalityStats
        const found = clusters.find(({ cluster: name }) => name === expected.clusterName)
        if (found === undefined) {
          expect(expected.totalDroppedRequests + (only?.totalIssuedRequests ?? 0)).toBe(0)
          continue
        }
        const { seconds, nanos } = expected.loadReportInterval
        expect(found).toMatchObject({
          intervalMs: seconds * 1_000 + nanos / 1_000_000,
          dropped: expected.totalDroppedRequests,
          issued: only?.totalIssuedRequests ?? 0,
          succeeded: only?.totalSuccessfulRequests ?? 0,
          failed: only?.totalErrorRequests ?? 0,
          inProgress: only?.totalRequestsInProgress ?? 0,
        })
        expect(found.endpoints.map(one => ({ ...one, metrics: [...one.metrics] }))).toEqual(
          (only?.upstreamEndpointStats ?? []).map(one => ({
            address: text(one.address.socketAddress.address, one.address.socketAddress.portValue),
            issued: one.totalIssuedRequests,
            succeeded: one.totalSuccessfulRequests,
            failed: one.totalErrorRequests,
            inProgress: one.totalRequestsInProgress,
            metrics: one.loadMetricStats.map(stat => [
              stat.metricName,
              { count: stat.numRequestsFinishedWithMetric, sum: stat.totalMetricValue },
            ]),
          })),
        )
      }
    }),
  )
})

test('the node tells who reports', () => {
  const node = { id: 'web/1', cluster: 'web', locality: { region: 'r', zone: 'z' }, clientFeatures: ['a'] }
  expect(decodeLoadNode(encode({ node }))).toMatchObject(node)
  expect(decodeLoadNode(encode({}))).toBeUndefined()
})

/** A report of one endpoint with one counter of these bits. */
const withIssued = (issued: bigint, sum: number): Uint8Array => {
  const w = new BinaryWriter()
  w.uint32(18).fork().uint32(10).string('payments').uint32(18).fork()
  w.uint32(58).fork()
  w.uint32(10).fork().uint32(10).fork().uint32(18).string('10.0.0.1').uint32(24).uint32(80).join().join()
  w.uint32(56).uint64(issued).uint32(32).uint64(3n)
  w.uint32(42).fork().uint32(10).string('m').uint32(25).double(sum).join()
  w.join().join().join()
  return w.finish()
}

test('a number that no counter can be is left out and tallied, and the rest counts', () => {
  for (const issued of [2n ** 53n, 2n ** 64n - 1n]) {
    const { clusters, absurd } = decodeLoadReport(withIssued(issued, Number.NaN))
    expect(absurd).toBe(2)
    expect(clusters[0]?.endpoints).toEqual([
      { address: '10.0.0.1:80', issued: 0, succeeded: 0, failed: 3, inProgress: 0, metrics: new Map() },
    ])
  }
})

test('names longer than any real one are not kept', () => {
  const upstreamLocalityStats = [{ totalIssuedRequests: 1 }]
  const { clusters, absurd } = decodeLoadReport(
    encode({ clusterStats: [{ clusterName: 'x'.repeat(513), upstreamLocalityStats }] }),
  )
  expect({ clusters, absurd }).toEqual({ clusters: [], absurd: 1 })
})

test('any bytes are read or refused by an error, never by anything else', () => {
  const mutilated = fc.tuple(request, fc.nat(), fc.nat(255)).map(([message, at, byte]) => {
    const bytes = Uint8Array.from(encode(message))
    if (bytes.length > 0) bytes[at % bytes.length] = byte
    return bytes
  })
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), mutilated), bytes => {
      for (const decode of [decodeLoadReport, decodeLoadNode]) {
        try {
          decode(bytes)
        } catch (error) {
          expect(error).toBeInstanceOf(Error)
        }
      }
    }),
    { numRuns: 500 },
  )
})
