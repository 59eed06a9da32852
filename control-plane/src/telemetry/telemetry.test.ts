import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { systemClock, type Clock } from '../runtime/clock.ts'
import { silentLogger } from '../runtime/logger.ts'
import type { Observers } from './observed.ts'
import { Telemetry } from './telemetry.ts'

/** A histogram with one value in each of its buckets. */
const spread = { bounds: [0.01, 0.1], counts: [1, 1, 1], sum: 1.055 }
const states = { new: 1, rejected: 0, stuck: 0, pending: 0, 'in-sync': 2 }

const observers: Omit<Observers, 'process'> = {
  xds: () => ({
    counters: {
      opened: 9,
      refusals: { invalid: 1, limit: 0 },
      closedStuck: 0,
      requests: 20,
      paced: 0,
      waiting: 4,
      delayed: 5,
      admitted: 6,
      waits: spread,
      types: [
        {
          type: 'Cluster',
          responses: 10,
          resources: 30,
          removed: 2,
          bytes: 4_096,
          encodes: 5,
          acks: 8,
          nacks: 1,
          staleAnswers: 0,
          merged: 3,
          dropped: 2,
          ack: spread,
          convergence: spread,
        },
      ],
    },
    figures: {
      delta: states,
      sotw: { ...states, 'in-sync': 0 },
      types: new Map([['Cluster', { names: 7, wildcards: 2, waiting: 1, unanswered: 1 }]]),
      queued: 3,
      receivedBytes: 70_000,
      queuedBytes: 80_000,
      fanOut: 11,
    },
    access: { unauthenticated: 0, denied: 0, revoked: 0 },
  }),
  loads: () => ({
    streams: 1,
    reports: 12,
    bytes: 700,
    refused: 0,
    absurd: 0,
    reporters: 1,
    entries: 9,
    evicted: 0,
  }),
  clientStatus: () => ({ requests: 3, refused: 1, bytes: 900 }),
  writes: () => ({ waiting: 3, batches: 4 }),
  feed: () => ({ revision: 40, head: 42, connected: true }),
  mesh: () => ({
    services: 1,
    instances: { healthy: 2, degraded: 0, unhealthy: 1, draining: 0, maintenance: 0, unknown: 0 },
  }),
  traffic: () => ({
    entries: 40,
    evicted: 0,
    held: { ejected: 2, trial: 1, readmitted: 0 },
    ejections: 3,
    spared: 1,
  }),
  checks: () => ({
    targets: 6,
    probes: 70,
    failures: 8,
    missed: 2,
    waiting: 1,
    unwritten: 0,
    lateness: { bounds: [0.1], counts: [3, 4], sum: 5 },
  }),
  heartbeats: () => ({ pending: 11 }),
  outbox: () =>
    Promise.resolve([
      {
        ...{ sink: 'audit', lag: 5, lagMs: 1_500, parked: 1, paused: null, error: null },
        ...{ compacted: true, orphaned: false },
      },
    ]),
  modes: () => [
    { capability: 'register', mode: 'floor', since: '2026-01-01T00:00:00Z', evidence: 'x', endsWhen: 'y' },
  ],
}

const telemetry = (
  overrides: Partial<typeof observers> = {},
  warnings: object[] = [],
  clock: Clock = systemClock,
) =>
  new Telemetry({
    clock,
    replicaId: 'r1',
    traces: null,
    observers: { ...observers, ...overrides },
    logger: { ...silentLogger, warn: fields => warnings.push(fields) },
  })

test('a scrape shows what each part tells, under its label', async () => {
  const text = await telemetry().metricsText()
  for (const line of [
    'waymark_xds_streams{form="delta",state="in-sync"} 2',
    'waymark_xds_refused_total{reason="invalid"} 1',
    'waymark_xds_subscriptions{type="Cluster",kind="wildcard"} 2',
    'waymark_xds_sent_bytes_total{type="Cluster"} 4096',
    'waymark_xds_answers_total{type="Cluster",answer="nack"} 1',
    'waymark_xds_ack_duration_seconds_bucket{type="Cluster",le="0.01"} 1',
    'waymark_xds_ack_duration_seconds_bucket{type="Cluster",le="0.1"} 2',
    'waymark_xds_ack_duration_seconds_bucket{type="Cluster",le="+Inf"} 3',
    'waymark_xds_ack_duration_seconds_sum{type="Cluster"} 1.055',
    'waymark_xds_admission_wait_seconds_count 3',
    'waymark_loads_reports_total 12',
    'waymark_csds_refused_total 1',
    'waymark_writes_waiting 3',
    'waymark_feed_lag 2',
    'waymark_mesh_instances{verdict="unhealthy"} 1',
    'waymark_checks_probes_total 70',
    'waymark_checks_missed_total 2',
    'waymark_checks_lateness_seconds_bucket{le="0.1"} 3',
    'waymark_checks_waiting 1',
    'waymark_heartbeats_pending 11',
    'waymark_outbox_lag{sink="audit"} 5',
    'waymark_outbox_compacted{sink="audit"} 1',
    'waymark_outbox_orphaned{sink="audit"} 0',
    'waymark_mode{capability="register",mode="floor"} 1',
    'waymark_mode{capability="register",mode="target"} 0',
  ]) {
    expect(text.split('\n')).toContain(line)
  }
  expect(text).toContain('target_info{service_name="waymark-control-plane",service_instance_id="r1"} 1')
})

test('a scrape reads the parts anew, also for totals', async () => {
  let batches = 1
  const subject = telemetry({ writes: () => ({ waiting: 0, batches }) })
  expect(await subject.metricsText()).toContain('\nwaymark_writes_batches_total 1\n')
  batches = 7
  expect(await subject.metricsText()).toContain('\nwaymark_writes_batches_total 7\n')
})

test('a part that fails is missing and logged; the others are not touched', async () => {
  const warnings: object[] = []
  let fails = false
  const outbox = () =>
    fails
      ? Promise.reject(new Error('no database'))
      : [
          {
            ...{ sink: 'a', lag: 1, lagMs: 0, parked: 0, paused: null, error: null },
            ...{ compacted: false, orphaned: false },
          },
        ]
  const subject = telemetry({ outbox }, warnings)
  expect(await subject.metricsText()).toContain('waymark_outbox_lag{sink="a"} 1')
  fails = true
  const text = await subject.metricsText()
  expect(text).not.toContain('waymark_outbox_lag{')
  expect(text).toContain('waymark_xds_opened_total 9')
  expect(warnings).toEqual([{ error: new Error('no database') }])
})

test('a part that does not answer in time is missing', async () => {
  const warnings: object[] = []
  const impatient: Clock = {
    ...systemClock,
    timer: (ms, run) => {
      if (ms === 2_000) setImmediate(run)
      return { cancel: () => undefined }
    },
  }
  const never = () => new Promise<never>(() => undefined)
  const text = await telemetry({ outbox: never }, warnings, impatient).metricsText()
  expect(text).not.toContain('waymark_outbox_lag{')
  expect(text).toContain('waymark_xds_opened_total 9')
  expect(warnings).toHaveLength(1)
})

test('HTTP requests are counted by method, route and status', async () => {
  const subject = telemetry()
  const route = '/api/v1/services/:service'
  subject.recordRequest({ method: 'GET', route, status: 200, seconds: 0.004 })
  subject.recordRequest({ method: 'GET', route, status: 200, seconds: 0.2 })
  const labels = `http_request_method="GET",http_route="${route}",http_response_status_code="200"`
  const text = await subject.metricsText()
  expect(text).toContain(`http_server_request_duration_seconds_count{${labels}} 2`)
  expect(text).toContain(`http_server_request_duration_seconds_bucket{${labels},le="0.005"} 1`)
})

test('the process is observed: memory always, event-loop delay while started', async () => {
  const subject = telemetry()
  const value = async (series: string) => {
    const line = (await subject.metricsText()).split('\n').find(text => text.startsWith(`${series} `))
    return Number(line?.split(' ')[1])
  }
  expect(await value('process_resident_memory_bytes')).toBeGreaterThan(1e6)
  expect(await value('nodejs_eventloop_delay_seconds{quantile="1"}')).toBe(0)
  const stop = new AbortController()
  const running = subject.start(stop.signal)
  const block = (ms: number) => {
    const end = performance.now() + ms
    while (performance.now() < end);
  }
  // A reading forgets; the histogram needs a tick before the block and one behind it.
  await expect
    .poll(
      async () => {
        block(60)
        await new Promise(resolve => setTimeout(resolve, 30))
        return await value('nodejs_eventloop_delay_seconds{quantile="1"}')
      },
      { timeout: 15_000 },
    )
    .toBeGreaterThan(0.02)
  stop.abort()
  await running
}, 20_000)

test('docs/reference/metrics.md lists exactly the metrics that a scrape has, with their type', async () => {
  const subject = telemetry()
  subject.recordRequest({ method: 'GET', route: '/', status: 200, seconds: 0.001 })
  const text = await subject.metricsText()
  const shown = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, type]) => `${name} ${type}`)
  const page = readFileSync(new URL('../../../docs/reference/metrics.md', import.meta.url), 'utf8')
  const listed = [...page.matchAll(/^\| `(\S+)` +\| (\w+) +\|/gm)].map(([, name, type]) => `${name} ${type}`)
  expect(listed.sort()).toEqual(shown.sort())
})
