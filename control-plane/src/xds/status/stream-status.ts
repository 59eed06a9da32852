/** What is told about streams: `Delivery` state as the status types of `status.ts`. */
import type { Revision } from '../../domain/revision.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Delivery } from '../subscription/delivery.ts'
import type { XdsStream } from '../transport/xds-stream.ts'
import type { NackStatus, ResourceStatus, StreamStatus, TypeStatus } from './status.ts'

/**
 * `streams`: those that speak for one node, newest first; `rivals`: others of the same name. `revision`: the current
 * one of the source. Undefined without a stream that has named its node.
 */
export function streamStatus(
  { streams, rivals }: { readonly streams: readonly XdsStream[]; readonly rivals: readonly XdsStream[] },
  revision: Revision,
  clock: Clock,
): StreamStatus | undefined {
  const [newest] = streams
  if (newest?.node === undefined) return undefined
  const { node } = newest
  const deliveries = streams.length === 1 ? newest.deliveries : streams.flatMap(stream => stream.deliveries)
  const epoch = clock.now() - clock.monotonic()
  let answered = revision
  let synced = revision
  for (const { behindSince, refusals, subscription } of deliveries) {
    if (!subscription.started) continue
    if (behindSince !== undefined) answered = Math.min(answered, before(behindSince))
    for (const refusal of refusals) synced = Math.min(synced, before(refusal.revision))
  }
  synced = Math.min(synced, answered)
  return {
    node: node.id,
    agent: node.agent,
    stream: newest.id,
    connectedAt: newest.connectedAt,
    address: newest.peer,
    heardAt: Math.max(...streams.map(({ heardAt }) => heardAt)),
    rivals: rivals.map(({ peer, connectedAt }) => ({ address: peer, connectedAt })),
    syncedRevision: synced,
    answeredRevision: answered,
    inSync: synced === revision,
    types: deliveries.map(delivery => typeStatus(delivery, epoch)),
    nacks: deliveries.some(({ refusals }) => refusals.length > 0)
      ? deliveries.flatMap(delivery => nacks(delivery, epoch))
      : [],
  }
}

export const resourceStatuses = (streams: readonly XdsStream[], clock: Clock): ResourceStatus[] => {
  const epoch = clock.now() - clock.monotonic()
  return streams
    .flatMap(stream => stream.deliveries)
    .flatMap(delivery => [...knownNames(delivery)].map(name => resourceStatus(delivery, name, epoch)))
}

function typeStatus(delivery: Delivery, epoch: number): TypeStatus {
  const { typeUrl, subscription, unanswered, changed } = delivery
  const { sent, acked } = counts(delivery)
  const at = unanswered.oldest?.at
  return {
    typeUrl,
    wildcard: subscription.wildcard,
    subscribed: subscription.names.size,
    sent,
    acked,
    waiting: changed.size,
    unansweredSince: at === undefined ? null : Math.round(epoch + at),
  }
}

const nacks = (delivery: Delivery, epoch: number): NackStatus[] =>
  delivery.refusals.map(({ names, version, message, at, revision }) => ({
    typeUrl: delivery.typeUrl,
    names,
    version,
    message,
    at: Math.round(epoch + at),
    revision,
  }))

function resourceStatus(delivery: Delivery, name: string, epoch: number): ResourceStatus {
  const held = delivery.held.get(name)
  const acked = typeof held === 'string' ? held : (held?.version ?? null)
  const unanswered = delivery.unanswered.last(name)
  const refusal = delivery.refusals.find(({ names }) => names.includes(name))
  return {
    typeUrl: delivery.typeUrl,
    name,
    sentVersion: unanswered === undefined ? acked : (unanswered?.version ?? null),
    ackedVersion: acked,
    revision: delivery.current(name)?.revision ?? null,
    nack:
      refusal === undefined
        ? null
        : {
            version: refusal.version,
            message: refusal.message,
            at: Math.round(epoch + refusal.at),
          },
  }
}

/** Every name about which there is something to tell. */
function knownNames({ held, unanswered, changed, refusals }: Delivery): Set<string> {
  const names = new Set([...held.keys(), ...unanswered.names(), ...changed.keys()])
  for (const refusal of refusals) for (const name of refusal.names) names.add(name)
  return names
}

/** Resources that the client was sent, and those of them that it ACKed. Costs what is unanswered. */
function counts({ held, unanswered }: Delivery): { sent: number; acked: number } {
  const acked = held.size - held.nulls
  let sent = acked
  if (unanswered.size === 0) return { sent, acked }
  for (const name of unanswered.names()) {
    if ((held.get(name) ?? null) !== null) sent -= 1
    if (unanswered.last(name) !== null) sent += 1
  }
  return { sent, acked }
}

const before = (revision: Revision): Revision => Math.max(0, revision - 1)
