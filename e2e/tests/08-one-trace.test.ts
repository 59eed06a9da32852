import { expect, it, onTestFinished } from 'vitest'
import { freePort } from '@waymark/deploy/local/ports.ts'
import { bundledProgram } from '../harness/bundled-program.ts'
import { eventually } from '../harness/eventually.ts'
import { OtlpReceiver } from '../harness/otlp-receiver.ts'
import type { Span } from '../harness/otlp-spans.ts'
import { startTestMesh } from '../harness/story.ts'

/** From a span up to the root, by service and kind. */
const pathToRoot = (span: Span, spans: readonly Span[]): string[] => {
  const parent = spans.find(({ spanId }) => spanId === span.parentSpanId)
  return [`${span.service} ${span.kind}`, ...(parent === undefined ? [] : pathToRoot(parent, spans))]
}

it('a request across three services is one trace with the right parents at an OTLP receiver', async () => {
  const receiver = await OtlpReceiver.start({ port: await freePort() })
  onTestFinished(() => receiver.stop())
  const mesh = await startTestMesh({ env: { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.endpoint } })
  await mesh.instance({ service: 'payments', id: 'payments-1' })
  const orders = await mesh.instance({ service: 'orders', id: 'orders-1' })
  const web = await mesh.instance({ service: 'web', id: 'web-1' })
  const edge = await mesh.instance({ service: 'edge', id: 'edge-1' })
  await mesh.reaches(web, 'orders', ['orders-1'])
  await mesh.reaches(orders, 'payments', ['payments-1'])
  await mesh.reaches(edge, 'web', ['web-1'])

  const traceId = '4bf92f3577b34da6a3ce929d0e0e4736'
  const answer = await edge.get('web', '/call?next=orders,payments', {
    traceparent: `00-${traceId}-00f067aa0ba902b7-01`,
    tracestate: 'vendor=value',
  })
  expect(JSON.parse(answer.body)).toEqual({ path: ['web-1', 'orders-1', 'payments-1'] })

  // The last application tells nothing: the innermost span is that of the last sidecar towards it.
  const ofTrace = (): Span[] => receiver.spans.filter(span => span.traceId === traceId)
  await eventually('all spans of the trace', () => ofTrace().length >= 12)
  const spans = ofTrace()
  expect(spans).toHaveLength(12)
  expect(new Set(spans.map(({ spanId }) => spanId)).size).toBe(12)
  const parents = new Set(spans.map(({ parentSpanId }) => parentSpanId))
  const [innermost, ...more] = spans.filter(({ spanId }) => !parents.has(spanId))
  expect(more).toEqual([])
  const hop = (service: string): string[] => [`${service} client`, `${service} server`]
  expect(innermost === undefined ? [] : pathToRoot(innermost, spans)).toEqual([
    ...hop('payments'), // inbound
    ...hop('orders'), // outbound
    ...hop('orders'), // inbound
    ...hop('web'),
    ...hop('web'),
    ...hop('edge'),
  ])
  // The root continues what the caller began.
  const root = spans.find(
    ({ spanId }) =>
      !spans.some(other => other.spanId === spanId && other.parentSpanId !== '00f067aa0ba902b7'),
  )
  expect(root?.service).toBe('edge')

  // Whoever sends no traceparent begins a trace; whoever says "not sampled" is left alone.
  const before = receiver.spans.length
  await edge.get('web', '/call?next=orders', { traceparent: `00-${'a'.repeat(32)}-00f067aa0ba902b7-00` })
  const echo = await edge.get('web', '/echo')
  const { headers } = JSON.parse(echo.body) as { headers: Record<string, string> }
  const begun = headers['traceparent']?.split('-')[1]
  await eventually('the trace that the mesh began', () =>
    receiver.spans.slice(before).some(span => span.traceId === begun),
  )
  expect(receiver.spans.filter(({ traceId: id }) => id === 'a'.repeat(32))).toEqual([])
})

it('a write is one trace, from the request over both replicas to the ACK of each sidecar', async () => {
  const receiver = await OtlpReceiver.start({ port: await freePort() })
  onTestFinished(() => receiver.stop())
  // What exports spans is loaded late, and loads gRPC in its own way.
  const program = await bundledProgram()
  const mesh = await startTestMesh({ program, env: { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.endpoint } })
  const [first, other] = [mesh.replica(0), mesh.replica(1)]
  const near = await mesh.instance({ service: 'web', id: 'web-1', controlPlane: [first.process.xds] })
  const far = await mesh.instance({ service: 'web', id: 'web-2', controlPlane: [other.process.xds] })
  await mesh.instance({ service: 'payments', id: 'payments-1', sidecar: false })
  await mesh.reaches(near, 'payments', ['payments-1'])
  await mesh.reaches(far, 'payments', ['payments-1'])

  const traceId = '0af7651916cd43dd8448eb211c80319c'
  const put = (traceparent: string, port: number) =>
    first.process.ask('/api/v1/services/payments/instances/payments-2', {
      method: 'PUT',
      headers: { traceparent, 'content-type': 'application/json' },
      body: JSON.stringify({ address: '127.0.0.1', port, lease: null }),
    })
  expect((await put(`00-${traceId}-b7ad6b7169203331-01`, 1)).status).toBe(201)

  const ofTrace = (name?: string): Span[] =>
    receiver.spans.filter(span => span.traceId === traceId && (name === undefined || span.name === name))
  // A span is exported when it has ended: that of all pushes is the last one of each replica.
  await eventually('both replicas to have told of all answers', () => ofTrace('xds.deliver').length === 2)
  const spans = ofTrace()
  const pathUp = ({ name, parentSpanId }: Span): string[] => {
    const parent = spans.find(({ spanId }) => spanId === parentSpanId)
    return parent === undefined ? [name, parentSpanId] : [name, ...pathUp(parent)]
  }
  const above = ['feed.apply', 'write', 'PUT /api/v1/services/:service/instances/:id', 'b7ad6b7169203331']
  for (const [{ name: replica }, { node }] of [
    [first, near],
    [other, far],
  ] as const) {
    const own = spans.filter(({ instance }) => instance === replica)
    const [push, ...more] = own.filter(({ name }) => name === 'xds.push')
    expect(more).toEqual([])
    expect(push?.attributes).toMatchObject({
      'waymark.xds.node': node,
      'waymark.xds.type': 'ClusterLoadAssignment',
      'waymark.xds.result': 'ack',
    })
    expect(push?.attributes['waymark.xds.version']).not.toBe('')
    expect(push === undefined ? [] : pathUp(push)).toEqual(['xds.push', 'xds.deliver', ...above])
    const build = own.find(({ name }) => name === 'xds.build')
    expect(build === undefined ? [] : pathUp(build)).toEqual(['xds.build', ...above])
  }
  expect(spans.every(({ service }) => service === 'waymark-control-plane')).toBe(true)
  expect(spans).toHaveLength(2 + 2 * 4)

  // Each replica has measured the same, over its own sidecars.
  for (const { process } of [first, other]) {
    const text = await (await process.ask('/metrics')).text()
    for (const metric of ['ack', 'convergence']) {
      const series = `waymark_xds_${metric}_duration_seconds_count{type="ClusterLoadAssignment"}`
      const line = text.split('\n').find(one => one.startsWith(series))
      expect(Number(line?.split(' ')[1] ?? 0)).toBeGreaterThan(0)
    }
    expect(text).toContain('waymark_xds_streams{form="delta",state="in-sync"} 1')
  }

  // Whoever says "not sampled" is left alone, in every replica.
  const quiet = 'c'.repeat(32)
  const acked = await put(`00-${quiet}-b7ad6b7169203331-00`, 2)
  expect(acked.ok).toBe(true)
  const last = 'd'.repeat(32)
  expect((await put(`00-${last}-b7ad6b7169203331-01`, 3)).ok).toBe(true)
  await eventually(
    'the write after it to be told of',
    () => receiver.spans.filter(span => span.traceId === last && span.name === 'xds.deliver').length === 2,
  )
  expect(receiver.spans.filter(span => span.traceId === quiet)).toEqual([])
})
