import { counter, durations, gauge, type Instrument, type Sample } from './instrument.ts'
import type { XdsObserved } from './xds-observed.ts'

type Counted = XdsObserved['counters']['types'][number]

const byType = ({ counters }: XdsObserved, read: (type: Counted) => number): Sample[] =>
  counters.types.map(type => ({ labels: { type: type.type }, value: read(type) }))

const nowByType = (
  { figures }: XdsObserved,
  read: (type: ReturnType<XdsObserved['figures']['types']['get']> & object) => number,
): Sample[] => [...figures.types].map(([type, counts]) => ({ labels: { type }, value: read(counts) }))

const forms = ['delta', 'sotw'] as const

/** Only labels with few values: never a node, a service or a resource. */
export const xdsInstruments: readonly Instrument<XdsObserved>[] = [
  gauge('waymark_xds_streams', '{stream}', 'xDS streams that are open now', ({ figures }) =>
    forms.flatMap(form =>
      Object.entries(figures[form]).map(([state, value]) => ({ labels: { form, state }, value })),
    ),
  ),
  counter('waymark_xds_opened', '{stream}', 'xDS streams opened', x => x.counters.opened),
  counter('waymark_xds_refused', '{stream}', 'xDS streams refused or ended for what they sent', x =>
    Object.entries(x.counters.refusals).map(([reason, value]) => ({ labels: { reason }, value })),
  ),
  counter(
    'waymark_xds_denied',
    '{peer}',
    'Peers of the xDS port without the right credential',
    ({ access }) => [
      { labels: { reason: 'unauthenticated' }, value: access.unauthenticated },
      { labels: { reason: 'denied' }, value: access.denied },
      { labels: { reason: 'revoked' }, value: access.revoked },
    ],
  ),
  counter(
    'waymark_xds_closed_stuck',
    '{stream}',
    'xDS streams closed because the client took nothing',
    x => x.counters.closedStuck,
  ),
  gauge('waymark_xds_subscriptions', '{subscription}', 'Subscriptions of xDS streams', x => [
    ...nowByType(x, ({ names }) => names).map(({ labels, value }) => ({
      labels: { ...labels, kind: 'name' },
      value,
    })),
    ...nowByType(x, ({ wildcards }) => wildcards).map(({ labels, value }) => ({
      labels: { ...labels, kind: 'wildcard' },
      value,
    })),
  ]),
  counter('waymark_xds_requests', '{request}', 'xDS requests received', x => x.counters.requests),
  counter(
    'waymark_xds_paced',
    '{request}',
    'xDS requests after which a stream had to wait since it takes too much time',
    x => x.counters.paced,
  ),
  counter('waymark_xds_responses', '{response}', 'xDS responses sent', x => byType(x, t => t.responses)),
  counter('waymark_xds_resources', '{resource}', 'xDS resources sent', x => byType(x, t => t.resources)),
  counter('waymark_xds_removed', '{resource}', 'Removals of xDS resources sent', x =>
    byType(x, t => t.removed),
  ),
  counter('waymark_xds_sent_bytes', 'By', 'Bytes of xDS responses sent', x => byType(x, t => t.bytes)),
  counter('waymark_xds_encodes', '{resource}', 'xDS resources encoded', x => byType(x, t => t.encodes)),
  counter('waymark_xds_answers', '{answer}', 'Answers of sidecars to xDS responses', x =>
    x.counters.types.flatMap(({ type, acks, nacks, staleAnswers }) => [
      { labels: { type, answer: 'ack' }, value: acks },
      { labels: { type, answer: 'nack' }, value: nacks },
      { labels: { type, answer: 'stale' }, value: staleAnswers },
    ]),
  ),
  counter('waymark_xds_merged', '{change}', 'Changes that replaced one that waited for a stream', x =>
    byType(x, t => t.merged),
  ),
  counter('waymark_xds_dropped', '{change}', 'Changes of which nothing had to be sent to a stream', x =>
    byType(x, t => t.dropped),
  ),
  gauge('waymark_xds_waiting', '{change}', 'Changes that wait to be sent to a stream', x =>
    nowByType(x, t => t.waiting),
  ),
  gauge('waymark_xds_unanswered', '{response}', 'xDS responses without an answer', x =>
    nowByType(x, t => t.unanswered),
  ),
  gauge(
    'waymark_xds_fanout_queue',
    '{stream}',
    'Streams that a large change has touched and that wait for their turn',
    x => x.figures.fanOut,
  ),
  gauge(
    'waymark_xds_queued_writes',
    '{response}',
    'xDS responses that the transport has not taken yet',
    x => x.figures.queued,
  ),
  gauge(
    'waymark_xds_received_bytes',
    'By',
    'Requests that have not come whole or wait, beyond 64 KiB of each xDS stream',
    x => x.figures.receivedBytes,
  ),
  gauge(
    'waymark_xds_queued_bytes',
    'By',
    'xDS responses that the transport has not taken, beyond 64 KiB of each stream',
    x => x.figures.queuedBytes,
  ),
  durations('waymark_xds_ack_duration_seconds', 'From the writing of a response to its ACK', x =>
    x.counters.types.map(({ type, ack }) => ({ labels: { type }, value: ack })),
  ),
  durations(
    'waymark_xds_convergence_duration_seconds',
    'From the commit of a change to its last ACK here',
    x => x.counters.types.map(({ type, convergence }) => ({ labels: { type }, value: convergence })),
  ),
  gauge(
    'waymark_xds_admission_queue',
    '{stream}',
    'New xDS streams that wait to be let in',
    x => x.counters.waiting,
  ),
  counter('waymark_xds_admitted', '{stream}', 'New xDS streams let in', x => x.counters.admitted),
  counter(
    'waymark_xds_admission_delayed',
    '{stream}',
    'New xDS streams that had to wait',
    x => x.counters.delayed,
  ),
  durations('waymark_xds_admission_wait_seconds', 'Wait of the new xDS streams that had to', x => [
    { labels: {}, value: x.counters.waits },
  ]),
]
