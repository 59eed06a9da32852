import type { Mode } from '../domain/mode.ts'
import { verdicts } from '../domain/verdict.ts'
import { counter, durations, gauge, type Instrument } from './instrument.ts'
import type { Observed } from './observed.ts'
import { xdsInstruments } from './xds-instruments.ts'

type Instruments = { readonly [Part in keyof Observed]: readonly Instrument<Observed[Part]>[] }

const modeNames: readonly Mode[] = ['target', 'degraded', 'floor', 'recovery']

/** Every metric that observers feed; `docs/reference/metrics.md` lists them, and a test compares the two. */
export const instruments: Instruments = {
  xds: xdsInstruments,
  loads: [
    gauge('waymark_loads_streams', '{stream}', 'Streams of load reports that are open now', l => l.streams),
    counter('waymark_loads_reports', '{report}', 'Load reports received', l => l.reports),
    counter('waymark_loads_received_bytes', 'By', 'Bytes of load reports received', l => l.bytes),
    counter('waymark_loads_refused', '{stream}', 'Streams of load reports refused or ended', l => l.refused),
    counter('waymark_loads_absurd', '{number}', 'Numbers in load reports that cannot be', l => l.absurd),
    gauge('waymark_loads_reporters', '{sidecar}', 'Sidecars whose load is remembered', l => l.reporters),
    gauge(
      'waymark_loads_entries',
      '{entry}',
      'Clusters and endpoints whose load is remembered',
      l => l.entries,
    ),
    counter(
      'waymark_loads_evicted',
      '{entry}',
      'Reporters and entries given up for want of room',
      l => l.evicted,
    ),
  ],
  clientStatus: [
    counter('waymark_csds_requests', '{request}', 'Requests for the state of sidecars', c => c.requests),
    counter('waymark_csds_refused', '{request}', 'Of them, answered with an error', c => c.refused),
    counter('waymark_csds_sent_bytes', 'By', 'Bytes of their answers', c => c.bytes),
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
    counter('waymark_checks_missed', '{probe}', 'Probes that could not be judged in time', c => c.missed),
    durations('waymark_checks_lateness_seconds', 'Time from the turn of a check to its probe', c => [
      { value: c.lateness, labels: {} },
    ]),
    gauge('waymark_checks_waiting', '{check}', 'Checks that are due and wait for a slot', c => c.waiting),
    gauge('waymark_checks_unwritten', '{status}', 'Changed statuses not in the log yet', c => c.unwritten),
  ],
  traffic: [
    gauge('waymark_traffic_windows', '{window}', 'Windows kept of services that fail', t => t.entries),
    counter(
      'waymark_traffic_evicted',
      '{entry}',
      'Reporters and services given up for want of room',
      t => t.evicted,
    ),
    gauge(
      'waymark_traffic_held',
      '{instance}',
      'Instances that passive health has ejected or tries again',
      t => Object.entries(t.held).map(([phase, value]) => ({ labels: { phase }, value })),
    ),
    counter(
      'waymark_traffic_ejections',
      '{ejection}',
      'Ejections that this replica decided',
      t => t.ejections,
    ),
    gauge('waymark_traffic_spared', '{instance}', 'Instances that only the cap keeps', t => t.spared),
  ],
  heartbeats: [
    gauge('waymark_heartbeats_pending', '{beat}', 'Heartbeats waiting for their flush', h => h.pending),
  ],
  outbox: [
    gauge('waymark_outbox_lag', '{revision}', 'Revisions that wait for a sink', sinks =>
      sinks.map(({ sink, lag }) => ({ labels: { sink }, value: lag })),
    ),
    gauge('waymark_outbox_lag_seconds', 's', 'How long the oldest revision has waited for a sink', sinks =>
      sinks.map(({ sink, lagMs }) => ({ labels: { sink }, value: lagMs / 1_000 })),
    ),
    gauge('waymark_outbox_failing', '1', '1 while a sink takes nothing, else 0', sinks =>
      sinks.map(({ sink, error }) => ({ labels: { sink }, value: error === null ? 0 : 1 })),
    ),
    gauge('waymark_outbox_paused', '1', '1 while a sink is paused, else 0', sinks =>
      sinks.map(({ sink, paused }) => ({ labels: { sink }, value: paused === null ? 0 : 1 })),
    ),
    gauge('waymark_outbox_compacted', '1', '1 while the log lacks what a sink needs next, else 0', sinks =>
      sinks.map(({ sink, compacted }) => ({ labels: { sink }, value: compacted ? 1 : 0 })),
    ),
    gauge('waymark_outbox_orphaned', '1', '1 for a sink that no replica declares any more, else 0', sinks =>
      sinks.map(({ sink, orphaned }) => ({ labels: { sink }, value: orphaned ? 1 : 0 })),
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
  requests: [durations('http_server_request_duration_seconds', 'Duration of HTTP requests', r => r)],
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
