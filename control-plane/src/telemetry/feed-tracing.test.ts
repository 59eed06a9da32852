import { trace, SpanStatusCode } from '@opentelemetry/api'
import { InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace'
import { expect, test } from 'vitest'
import type { ChangeSet } from '../domain/change.ts'
import { silentLogger } from '../runtime/logger.ts'
import { FeedTracing } from './feed-tracing.ts'
import { maxPushSpans } from './step-spans.ts'
import { createTraceProvider } from './trace-provider.ts'
import { Tracing } from './tracing.ts'

const recorder = () => {
  const exporter = new InMemorySpanExporter()
  const target = { host: '127.0.0.1', port: 4317, tls: false, samplingPercent: 100 }
  const tracing = new Tracing(
    createTraceProvider({
      replicaId: 'r1',
      target,
      logger: silentLogger,
      processor: new SimpleSpanProcessor({ exporter }),
    }),
  )
  return {
    steps: new FeedTracing(tracing.tracer),
    named: (name: string) => exporter.getFinishedSpans().filter(span => span.name === name),
    all: () => exporter.getFinishedSpans(),
  }
}

const parentOf = (write: number): string => write.toString(16).padStart(16, '0')
const traceOf = (write: number): string => write.toString(16).padStart(32, '0')

/** One change of a write with this trace. */
const set = (
  revision: number,
  { write, sampled = true }: { write?: number; sampled?: boolean } = {},
): ChangeSet => ({
  revision,
  changes: [
    {
      id: `c${revision}`,
      revision,
      position: 0,
      occurredAt: '2026-01-01T00:00:00.000Z',
      actor: 'rest',
      traceparent:
        write === undefined ? null : `00-${traceOf(write)}-${parentOf(write)}-${sampled ? '01' : '00'}`,
      aggregateType: 'document',
      aggregateId: 'Service/a',
      type: 'document.applied',
      before: null,
      after: null,
    },
  ],
})

const response = (stream: number, nonce = 'n1') => ({
  stream,
  nonce,
  node: `web/${stream}`,
  typeUrl: 'type.googleapis.com/envoy.config.cluster.v3.Cluster',
  version: 'v1',
  resources: [{ name: 'a' }],
  removed: ['b'],
})

test('a traced write goes on as feed.apply, build, deliver and a push for each response', () => {
  const { steps, named, all } = recorder()
  steps.apply([set(1, { write: 7 })], () => {
    steps.building()
    const step = steps.begin(1)
    step?.sent(response(1))
    step?.sent(response(2))
    step?.answered({ stream: 1, nonce: 'n1' })
    step?.answered({ stream: 2, nonce: 'of an earlier response', refusal: 'no' })
    step?.answered({ stream: 2, nonce: 'n1', refusal: 'no good' })
    step?.end()
  })
  const [apply, build, deliver] = ['feed.apply', 'xds.build', 'xds.deliver'].map(name => named(name)[0])
  expect(all().every(span => span.spanContext().traceId === traceOf(7))).toBe(true)
  expect(apply?.parentSpanContext?.spanId).toBe(parentOf(7))
  for (const child of [build, deliver]) {
    expect(child?.parentSpanContext?.spanId).toBe(apply?.spanContext().spanId)
  }
  expect(deliver?.attributes).toMatchObject({
    'waymark.revision': 1,
    'waymark.xds.responses': 2,
    'waymark.xds.acks': 1,
    'waymark.xds.nacks': 1,
    'waymark.xds.unanswered': 0,
  })
  const [acked, nacked] = named('xds.push')
  expect(acked?.parentSpanContext?.spanId).toBe(deliver?.spanContext().spanId)
  expect(acked?.attributes).toMatchObject({
    'waymark.xds.node': 'web/1',
    'waymark.xds.type': 'Cluster',
    'waymark.xds.version': 'v1',
    'waymark.xds.resources': ['a'],
    'waymark.xds.removed': ['b'],
    'waymark.xds.result': 'ack',
  })
  expect(nacked?.status).toEqual({ code: SpanStatusCode.ERROR, message: 'no good' })
})

test('of many responses the first have a span, the others are counted; what stays unanswered ends with the step', () => {
  const { steps, named } = recorder()
  steps.apply([set(1, { write: 7 })], () => {
    const step = steps.begin(1)
    for (let stream = 0; stream < 50; stream += 1) step?.sent(response(stream))
    for (let stream = 1; stream < 50; stream += 1) step?.answered({ stream, nonce: 'n1' })
    step?.end()
  })
  expect(named('xds.push')).toHaveLength(maxPushSpans)
  expect(named('xds.push').at(-1)?.attributes['waymark.xds.result']).toBe('unanswered')
  expect(named('xds.deliver')[0]?.attributes).toMatchObject({
    'waymark.xds.responses': 50,
    'waymark.xds.acks': 49,
    'waymark.xds.unanswered': 1,
    'waymark.xds.responses_without_span': 50 - maxPushSpans,
  })
})

test('traced writes of one step each have a span, linked to the one that has it all', () => {
  const { steps, named } = recorder()
  steps.apply(
    [set(1), set(2, { write: 7 }), set(3, { write: 8 }), set(4, { write: 9, sampled: false })],
    () => {
      steps.begin(4)?.end()
    },
  )
  const spans = named('feed.apply')
  const main = spans.find(span => span.spanContext().traceId === traceOf(7))
  const other = spans.find(span => span.spanContext().traceId === traceOf(8))
  expect(spans).toHaveLength(2)
  expect(main?.attributes).toMatchObject({ 'waymark.revision': 2, 'waymark.revisions': 4 })
  expect(main?.links.map(({ context }) => context.spanId)).toEqual([parentOf(8)])
  expect(other?.links.map(({ context }) => context.spanId)).toEqual([main?.spanContext().spanId])
  expect(named('xds.deliver')[0]?.spanContext().traceId).toBe(traceOf(7))
})

test.each([
  ['not traced', set(1)],
  ['not sampled', set(1, { write: 7, sampled: false })],
])('a write that is %s leaves no span', (_, untraced) => {
  const { steps, all } = recorder()
  let applied = false
  steps.apply([untraced], () => {
    steps.building()
    expect(steps.begin(1)).toBeUndefined()
    applied = true
  })
  expect([applied, all()]).toEqual([true, []])
})

test('what throws ends the spans and is passed on; nothing of it is left for the next', () => {
  const { steps, named } = recorder()
  const apply = (): void => {
    steps.apply([set(1, { write: 7 })], () => {
      steps.building()
      throw new Error('skipped')
    })
  }
  expect(apply).toThrow('skipped')
  expect([named('feed.apply'), named('xds.build')].map(({ length }) => length)).toEqual([1, 1])
  expect(steps.begin(1)).toBeUndefined()
})

test('only so many steps are followed at once, and room comes back', () => {
  const { steps, named } = recorder()
  const begin = (revision: number) => {
    let step: ReturnType<typeof steps.begin>
    steps.apply([set(revision, { write: revision })], () => {
      step = steps.begin(revision)
    })
    return step
  }
  const followed = Array.from({ length: 70 }, (_, index) => begin(index + 1)).filter(
    step => step !== undefined,
  )
  expect(followed).toHaveLength(64)
  expect(named('feed.apply').filter(({ attributes }) => attributes['waymark.xds.not_followed'])).toHaveLength(
    6,
  )
  followed[0]?.end()
  expect(begin(71)).toBeDefined()
})

test('without a target nothing is looked at', () => {
  const steps = new FeedTracing(null)
  let applied = 0
  steps.apply([set(1, { write: 7 })], () => {
    applied += 1
    expect(trace.getActiveSpan()).toBeUndefined()
    expect(steps.begin(1)).toBeUndefined()
  })
  expect(applied).toBe(1)
})
