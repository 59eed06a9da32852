import type { Mode } from '../domain/mode.ts'
import { verdicts } from '../domain/verdict.ts'
import type { Observed } from './observed.ts'

export interface Sample {
  readonly value: number
  readonly labels: Readonly<Record<string, string>>
}

/** One series or, with labels, one family of series, read from what a part tells. */
export interface Instrument<Part> {
  /** Prometheus's name with its unit, but without the `_total` that a counter gets when it is written out. */
  readonly name: string
  readonly kind: 'counter' | 'gauge'
  /** UCUM, as OpenTelemetry asks: `s`, `By`, `{stream}`. */
  readonly unit: string
  readonly help: string
  readonly read: (part: Part) => number | readonly Sample[]
}

type Instruments = { readonly [Part in keyof Observed]: readonly Instrument<Observed[Part]>[] }

const counter = <Part>(name: string, unit: string, help: string, read: Instrument<Part>['read']) =>
  ({ name, kind: 'counter', unit, help, read }) as const

const gauge = <Part>(name: string, unit: string, help: string, read: Instrument<Part>['read']) =>
  ({ name, kind: 'gauge', unit, help, read }) as const

const modeNames: readonly Mode[] = ['target', 'degraded', 'floor', 'recovery']

/** Every metric that observers feed; `docs/reference/metrics.md` lists them, and a test compares the two. */
export const instruments: Instruments = {
  xds: [
    gauge('waymark_xds_streams', '{stream}', 'xDS streams that are open now', x => x.streams),
    counter('waymark_xds_opened', '{stream}', 'xDS streams opened', x => x.opened),
    counter('waymark_xds_refused', '{stream}', 'xDS streams refused', x => x.refused),
    counter('waymark_xds_denied', '{peer}', 'Peers of the xDS port without the right credential', x => [
      { labels: { reason: 'unauthenticated' }, value: x.unauthenticated },
      { labels: { reason: 'denied' }, value: x.denied },
      { labels: { reason: 'revoked' }, value: x.revoked },
    ]),
    counter(
      'waymark_xds_closed_stuck',
      '{stream}',
      'xDS streams closed because the client took nothing',
      x => x.closedStuck,
    ),
    counter('waymark_xds_requests', '{request}', 'xDS requests received', x => x.requests),
    counter('waymark_xds_responses', '{response}', 'xDS responses sent', x => x.responses),
    counter('waymark_xds_resources', '{resource}', 'xDS resources sent', x => x.resources),
    counter('waymark_xds_sent_bytes', 'By', 'Bytes of xDS responses sent', x => x.bytes),
    counter('waymark_xds_answers', '{answer}', 'Answers of sidecars to xDS responses', x => [
      { labels: { answer: 'ack' }, value: x.acks },
      { labels: { answer: 'nack' }, value: x.nacks },
      { labels: { answer: 'stale' }, value: x.staleAnswers },
    ]),
    counter('waymark_xds_encodes', '{resource}', 'xDS resources encoded', x => x.encodes),
  ],
  writes: [
    gauge('waymark_writes_waiting', '{write}', 'Writes waiting for their transaction', w => w.waiting),
    counter('waymark_writes_batches', '{transaction}', 'Transactions of writes committed', w => w.batches),
  ],
  feed: [
    gauge('waymark_feed_revision', '{revision}', 'Revision that the mesh state has applied', f => f.revision),
    gauge('waymark_feed_head', '{revision}', 'Newest revision seen in the log', f => f.head),
    gauge('waymark_feed_lag', '{revision}', 'Revisions seen in the log and not applied yet', f =>
      Math.max(0, f.head - f.revision),
    ),
    gauge('waymark_feed_connected', '1', '1 while the log can be read', f => (f.connected ? 1 : 0)),
  ],
  mesh: [
    gauge('waymark_mesh_services', '{service}', 'Services of the mesh', m => m.services),
    gauge('waymark_mesh_instances', '{instance}', 'Instances of the mesh by verdict', m =>
      verdicts.map(verdict => ({ labels: { verdict }, value: m.instances[verdict] })),
    ),
  ],
  checks: [
    gauge('waymark_checks_targets', '{check}', 'Checks that this replica runs', c => c.targets),
    counter('waymark_checks_probes', '{probe}', 'Probes finished', c => c.probes),
    counter('waymark_checks_failures', '{probe}', 'Probes that failed', c => c.failures),
    gauge('waymark_checks_waiting', '{check}', 'Checks that are due and wait for a slot', c => c.waiting),
    gauge('waymark_checks_unwritten', '{status}', 'Changed statuses not in the log yet', c => c.unwritten),
  ],
  heartbeats: [
    gauge('waymark_heartbeats_pending', '{beat}', 'Heartbeats waiting for their flush', h => h.pending),
  ],
  outbox: [
    gauge('waymark_outbox_lag', '{revision}', 'Revisions that wait for a sink', sinks =>
      sinks.map(({ sink, lag }) => ({ labels: { sink }, value: lag })),
    ),
    gauge('waymark_outbox_parked', '{event}', 'Events set aside after their last attempt', sinks =>
      sinks.map(({ sink, parked }) => ({ labels: { sink }, value: parked })),
    ),
  ],
  modes: [
    gauge('waymark_mode', '1', '1 for the mode that holds, else 0, by capability', modes =>
      // Every mode has its series: one that had only the current mode would leave the last one behind.
      modes.flatMap(({ capability, mode: current }) =>
        modeNames.map(mode => ({ labels: { capability, mode }, value: mode === current ? 1 : 0 })),
      ),
    ),
  ],
  process: [
    gauge('process_resident_memory_bytes', 'By', 'Resident memory', p => p.rssBytes),
    gauge('nodejs_heap_used_bytes', 'By', 'JavaScript heap in use', p => p.heapUsedBytes),
    counter('process_cpu_seconds', 's', 'Processor time used', p => p.cpuSeconds),
    gauge('process_uptime_seconds', 's', 'Seconds since the process started', p => p.uptimeSeconds),
    gauge('nodejs_eventloop_delay_seconds', 's', 'Event-loop delay since the last scrape', p => [
      { labels: { quantile: '0.5' }, value: p.loopDelaySeconds.p50 },
      { labels: { quantile: '0.99' }, value: p.loopDelaySeconds.p99 },
      { labels: { quantile: '1' }, value: p.loopDelaySeconds.max },
    ]),
  ],
}
