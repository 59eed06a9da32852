import { expect, it, onTestFinished } from 'vitest'
import { freePort } from '@waymark/deploy/local/ports.ts'
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
