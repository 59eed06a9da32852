import type { Clock } from '../../runtime/clock.ts'
import type { XdsCounters } from '../counters.ts'
import type { XdsStream } from '../transport/xds-stream.ts'

/** `new`: its first message has not been answered yet. The others are those of `GET /sidecars`. */
export type StreamState = 'new' | 'rejected' | 'stuck' | 'pending' | 'in-sync'

export interface TypeFigures {
  /** Names that streams are subscribed to one by one. */
  names: number
  /** Streams that are subscribed to all of the type. */
  wildcards: number
  /** Changes that wait for their turn, for room in the transport, or for the order among types. */
  waiting: number
  /** Responses that have no answer yet. */
  unanswered: number
}

/** What there is at one moment. */
export interface StreamFigures {
  readonly delta: Readonly<Record<StreamState, number>>
  readonly sotw: Readonly<Record<StreamState, number>>
  /** By the name under which `XdsCounters` counts the type. */
  readonly types: ReadonlyMap<string, TypeFigures>
  /** Responses that the transport has not taken yet. */
  readonly queued: number
}

/** As in `GET /sidecars`. */
const stuckMs = 10_000

/** Streams looked at in one turn of the event loop: a millisecond or two. */
const slice = 1_000

/** Costs a look at every stream. */
export const streamFigures = async (
  streams: Iterable<XdsStream>,
  { counters, clock }: { readonly counters: XdsCounters; readonly clock: Pick<Clock, 'monotonic' | 'soon'> },
): Promise<StreamFigures> => {
  const now = clock.monotonic()
  let seen = 0
  const forms = { delta: noStreams(), sotw: noStreams() }
  const types = new Map<string, TypeFigures>()
  for (const { type } of counters.types)
    types.set(type, { names: 0, wildcards: 0, waiting: 0, unanswered: 0 })
  let queued = 0
  for (const stream of streams) {
    seen += 1
    if (seen % slice === 0)
      await new Promise<void>(resolve => {
        clock.soon(resolve)
      })
    forms[stream.form][stateOf(stream, now)] += 1
    queued += stream.queued
    for (const { typeUrl, subscription, changed, unanswered } of stream.deliveries) {
      const figures = types.get(counters.of(typeUrl).type)
      if (figures === undefined) continue
      figures.names += subscription.names.size
      figures.wildcards += subscription.wildcard ? 1 : 0
      figures.waiting += changed.size
      figures.unanswered += unanswered.size
    }
  }
  return { ...forms, types, queued }
}

const noStreams = (): Record<StreamState, number> => ({
  new: 0,
  rejected: 0,
  stuck: 0,
  pending: 0,
  'in-sync': 0,
})

const stateOf = ({ node, deliveries }: XdsStream, now: number): StreamState => {
  if (node === undefined) return 'new'
  let state: StreamState = 'in-sync'
  for (const { refusals, unanswered, behindSince } of deliveries) {
    if (refusals.length > 0) return 'rejected'
    const at = unanswered.oldest?.at
    if (at !== undefined && now - at > stuckMs) state = 'stuck'
    else if (behindSince !== undefined && state === 'in-sync') state = 'pending'
  }
  return state
}
