import { schemaUrn } from './event-schemas.ts'
import type { LoggedChange } from '../domain/outbox.ts'
import type { SinkGap } from './outbox-store.ts'

/**
 * The attributes of a CloudEvents 1.0 event in its JSON format; `data` comes on top. Attribute names are lower-case
 * letters and digits, as the specification asks (spec.md, "Naming Conventions").
 */
export interface EventAttributes {
  readonly specversion: '1.0'
  /** The change's id (UUID v7): the same at every delivery, so that consumers can tell duplicates. */
  readonly id: string
  readonly source: string
  /** `io.waymark.` and the change's type. */
  readonly type: string
  /** The aggregate's id. */
  readonly subject: string
  /** RFC 3339, Postgres time. */
  readonly time: string
  readonly datacontenttype: 'application/json'
  /** Names the JSON Schema of `data`. */
  readonly dataschema: string
  /** A string: CloudEvents integers have 32 bits ("Type System"), a revision has more. */
  readonly revision: string
  /** 0-based place within the revision. */
  readonly position: number
  /** Events of one aggregate share it: `instance/payments/payments-1`. */
  readonly partitionkey: string
  readonly actor?: string
  readonly traceparent?: string
}

/** An event and its one JSON text, which is what is signed, counted and sent. */
export interface EncodedEvent {
  readonly event: EventAttributes
  /** JSON. */
  readonly data: string
  /** The whole event. */
  readonly json: string
  /** Length of `json` in UTF-8. */
  readonly bytes: number
}

const typePrefix = 'io.waymark.'
/** version 00, not all zero: W3C Trace Context. */
const traceparentPattern = /^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/

/** Names the aggregate of a change: order is kept among changes with the same one. */
export const aggregateKey = ({
  aggregateType,
  aggregateId,
}: Pick<LoggedChange, 'aggregateType' | 'aggregateId'>): string => `${aggregateType}/${aggregateId}`

/** Attribute strings take no control characters and no lone surrogates. */
const attribute = (text: string): string => text.toWellFormed().replace(/\p{Cc}/gu, '')

/** `source`: the URI reference that names this mesh, `/waymark` by default. */
export const toAttributes = (change: LoggedChange, source: string): EventAttributes => {
  const actor = attribute(change.actor)
  const { traceparent } = change
  return {
    specversion: '1.0',
    id: change.id,
    source,
    type: `${typePrefix}${change.type}`,
    subject: attribute(change.aggregateId),
    time: new Date(change.occurredAt).toISOString(),
    datacontenttype: 'application/json',
    dataschema: schemaUrn(change.type),
    revision: String(change.revision),
    position: change.position,
    partitionkey: attribute(aggregateKey(change)),
    ...(actor === '' ? {} : { actor }),
    ...(traceparent !== null && traceparentPattern.test(traceparent) ? { traceparent } : {}),
  }
}

/**
 * Tells a consumer that the log it has been given does not continue: retention has removed changes that it never
 * saw (`compacted`), or the database is an older one, restored (`restored`). It should read the present state.
 */
export const discontinuityEvent = (gap: SinkGap, source: string): EncodedEvent => {
  const { deliveredTo, resumesAfter, reason, at } = gap
  return encodeEvent(
    {
      specversion: '1.0',
      id: `log-${reason}-${deliveredTo}-${resumesAfter}`,
      source,
      type: `${typePrefix}log.discontinued`,
      subject: 'log',
      time: at,
      datacontenttype: 'application/json',
      dataschema: schemaUrn('log.discontinued'),
      revision: String(resumesAfter),
      position: 0,
      partitionkey: 'log',
    },
    JSON.stringify({ deliveredTo, resumesAfter, reason }),
  )
}

/** Puts `data` into the event as it is: a change's payload is not parsed on its way to a sink. */
export const encodeEvent = (event: EventAttributes, data: string): EncodedEvent => {
  const json = `${JSON.stringify(event).slice(0, -1)},"data":${data}}`
  return { event, data, json, bytes: Buffer.byteLength(json) }
}

/** What `encodeEvent` made, from its JSON. */
export const decodeEvent = (json: string): EncodedEvent => {
  // Only outbox/ writes what it reads here.
  const { data, ...event } = JSON.parse(json) as EventAttributes & { readonly data: unknown }
  return encodeEvent(event, JSON.stringify(data))
}
