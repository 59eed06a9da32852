import { Server, ServerCredentials } from '@grpc/grpc-js'
import { InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace'
import { SpanStatusCode } from '@opentelemetry/api'
import { expect, test } from 'vitest'
import { WaymarkError } from '../domain/errors.ts'
import { silentLogger } from '../runtime/logger.ts'
import { createTraceProvider } from './trace-provider.ts'
import { Tracing } from './tracing.ts'

const traceId = '0af7651916cd43dd8448eb211c80319c'
const parentId = 'b7ad6b7169203331'
const name = 'PUT /api/v1/documents/{kind}/{name}'

const recorder = (samplingPercent = 100) => {
  const exporter = new InMemorySpanExporter()
  const target = { host: '127.0.0.1', port: 4317, tls: false, samplingPercent }
  const tracing = new Tracing(
    createTraceProvider({
      replicaId: 'r1',
      target,
      logger: silentLogger,
      processor: new SimpleSpanProcessor({ exporter }),
    }),
  )
  return { tracing, spans: () => exporter.getFinishedSpans() }
}

test('a span continues the trace of its request, and its work belongs to the span', async () => {
  const { tracing, spans } = recorder()
  const traceparent = `00-${traceId}-${parentId}-01`
  const inner = await tracing.withSpan({ name, traceparent }, own => Promise.resolve(own))
  const [span] = spans()
  expect(span?.name).toBe(name)
  expect(span?.parentSpanContext).toMatchObject({ traceId, spanId: parentId, isRemote: true })
  expect(inner).toBe(`00-${traceId}-${span?.spanContext().spanId}-01`)
})

test.each([null, 'nonsense', `00-${'0'.repeat(32)}-${parentId}-01`])(
  'a request without a usable traceparent (%s) begins a trace',
  async traceparent => {
    const { tracing, spans } = recorder()
    const inner = await tracing.withSpan({ name, traceparent }, own => Promise.resolve(own))
    expect(inner).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/)
    expect(spans()[0]?.parentSpanContext).toBeUndefined()
  },
)

test('the decision to sample comes with the request, and from the share only for new traces', async () => {
  const none = recorder(0)
  await none.tracing.withSpan({ name, traceparent: null }, () => Promise.resolve())
  expect(none.spans()).toHaveLength(0)
  await none.tracing.withSpan({ name, traceparent: `00-${traceId}-${parentId}-01` }, () => Promise.resolve())
  expect(none.spans()).toHaveLength(1)
  const all = recorder(100)
  const unsampled = `00-${traceId}-${parentId}-00`
  const inner = await all.tracing.withSpan({ name, traceparent: unsampled }, own => Promise.resolve(own))
  expect(all.spans()).toHaveLength(0)
  expect(inner).toMatch(new RegExp(`^00-${traceId}-[0-9a-f]{16}-00$`))
})

test('the result of the work adds to its span', async () => {
  const { tracing, spans } = recorder()
  const resultAttributes = (revision: number) => ({ 'waymark.revision': revision })
  await tracing.withSpan({ name, traceparent: null, resultAttributes }, () => Promise.resolve(7))
  expect(spans()[0]?.attributes).toEqual({ 'waymark.revision': 7 })
})

test('a request has a span of its own, to which its work belongs, until it is answered', () => {
  const { tracing, spans } = recorder()
  const traceparent = `00-${traceId}-${parentId}-01`
  const request = { method: 'PUT', route: '/services/:service', traceparent }
  const [good, bad] = [tracing.beginRequest(request), tracing.beginRequest(request)]
  expect(spans()).toEqual([])
  good.end(409)
  bad.end(503)
  const [answered, failed] = spans()
  expect(good.traceparent).toBe(`00-${traceId}-${answered?.spanContext().spanId}-01`)
  expect(answered?.name).toBe('PUT /services/:service')
  expect(answered?.attributes).toEqual({
    'http.request.method': 'PUT',
    'http.route': '/services/:service',
    'http.response.status_code': 409,
  })
  expect([answered?.status.code, failed?.status.code]).toEqual([SpanStatusCode.UNSET, SpanStatusCode.ERROR])
})

test.each([
  ['version_conflict', new WaymarkError('version_conflict', 'x'), SpanStatusCode.UNSET],
  ['database_unavailable', new WaymarkError('database_unavailable', 'x'), SpanStatusCode.ERROR],
  ['internal', new Error('x'), SpanStatusCode.ERROR],
])('an error is passed on and noted (%s)', async (code, error, status) => {
  const { tracing, spans } = recorder()
  await expect(tracing.withSpan({ name, traceparent: null }, () => Promise.reject(error))).rejects.toBe(error)
  expect(spans()[0]?.attributes['error.type']).toBe(code)
  expect(spans()[0]?.status.code).toBe(status)
})

test('without a target nothing is recorded and the context is passed on as it came', async () => {
  const tracing = new Tracing(null)
  const traceparent = `00-${traceId}-${parentId}-01`
  expect(await tracing.withSpan({ name, traceparent }, own => Promise.resolve(own))).toBe(traceparent)
  const request = tracing.beginRequest({ method: 'PUT', route: '/', traceparent })
  request.end(200)
  expect(request.traceparent).toBe(traceparent)
  await tracing.stop()
})

/** A collector that keeps the raw OTLP requests it gets. */
const startCollector = async () => {
  const requests: Buffer[] = []
  const server = new Server()
  const identity = (bytes: Buffer) => bytes
  const definition = {
    export: {
      path: '/opentelemetry.proto.collector.trace.v1.TraceService/Export',
      requestStream: false,
      responseStream: false,
      requestSerialize: identity,
      requestDeserialize: identity,
      responseSerialize: identity,
      responseDeserialize: identity,
    },
  }
  server.addService(definition, {
    export: (call: { readonly request: Buffer }, answer: (error: null, response: Buffer) => void) => {
      requests.push(call.request)
      answer(null, Buffer.alloc(0))
    },
  })
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) => {
      if (error === null) resolve(bound)
      else reject(error)
    })
  })
  return {
    requests,
    port,
    stop: () => {
      server.forceShutdown()
    },
  }
}

test('spans reach a collector by OTLP over gRPC before the end', async () => {
  const collector = await startCollector()
  const tracing = new Tracing(
    createTraceProvider({
      replicaId: 'replica-7',
      logger: silentLogger,
      target: { host: '127.0.0.1', port: collector.port, tls: false, samplingPercent: 100 },
    }),
  )
  try {
    await tracing.withSpan({ name, traceparent: `00-${traceId}-${parentId}-01` }, () => Promise.resolve())
    await tracing.stop()
    const received = Buffer.concat(collector.requests)
    for (const part of [name, 'waymark-control-plane', 'replica-7'])
      expect(received.includes(part)).toBe(true)
    expect(received.includes(Buffer.from(traceId, 'hex'))).toBe(true)
  } finally {
    collector.stop()
  }
})

test('a collector that is away fails neither the work nor the end', async () => {
  const collector = await startCollector()
  collector.stop()
  const tracing = new Tracing(
    createTraceProvider({
      replicaId: 'r1',
      logger: silentLogger,
      target: { host: '127.0.0.1', port: collector.port, tls: false, samplingPercent: 100 },
    }),
  )
  expect(await tracing.withSpan({ name, traceparent: null }, () => Promise.resolve('done'))).toBe('done')
  await tracing.stop()
}, 15_000)
