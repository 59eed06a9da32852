import { Value } from 'typebox/value'
import { eventSinkErrors } from './event-sink-checks.ts'
import {
  completeEventSink,
  eventSinkSchema,
  isSinkName,
  sinkNameAccepted,
  type EventSinkSpec,
} from './event-sink.ts'
import { schemaErrors, type FieldError } from './field-errors.ts'
import { completeService, serviceSchema, type ServiceSpec } from './service.ts'
import { serviceCheckErrors } from './service-checks.ts'
import { isServiceName, serviceNameAccepted } from './service-name.ts'
import { trafficPolicyErrors } from './traffic-policy-checks.ts'
import { completeTrafficPolicy, trafficPolicySchema, type TrafficPolicySpec } from './traffic-policy.ts'

/** The kinds of documents, each with the JSON Schema of its spec. */
export const documentSchemas = {
  Service: serviceSchema,
  TrafficPolicy: trafficPolicySchema,
  EventSink: eventSinkSchema,
} as const

export type DocumentKind = keyof typeof documentSchemas

export const documentKinds = Object.keys(documentSchemas) as readonly DocumentKind[]

/** A document whose spec is checked, and complete as far as it does not depend on other documents. */
export type ParsedDocument =
  | { readonly kind: 'Service'; readonly name: string; readonly spec: ServiceSpec }
  | { readonly kind: 'TrafficPolicy'; readonly name: string; readonly spec: TrafficPolicySpec }
  | { readonly kind: 'EventSink'; readonly name: string; readonly spec: EventSinkSpec }

export type ParseResult =
  | { readonly ok: true; readonly document: ParsedDocument }
  | { readonly ok: false; readonly errors: readonly FieldError[] }

const refused = (errors: readonly FieldError[]): ParseResult => ({ ok: false, errors })

const isKind = (kind: string): kind is DocumentKind => Object.hasOwn(documentSchemas, kind)

/**
 * Checks a document by its kind. Errors point into the spec (`/timeouts/connect`), or are `{kind}` or `{name}`
 * for the parameters. References to other documents or services are not looked at.
 */
export const parseDocument = (kind: string, name: string, spec: unknown): ParseResult => {
  if (!isKind(kind))
    return refused([
      { pointer: '{kind}', detail: 'there is no such kind', accepted: `one of: ${documentKinds.join(', ')}` },
    ])
  if (!isServiceName(name))
    return refused([
      { pointer: '{name}', detail: 'is no name for a document', accepted: serviceNameAccepted },
    ])
  if (kind === 'EventSink') {
    if (!isSinkName(name))
      return refused([{ pointer: '{name}', detail: 'is no name for a sink', accepted: sinkNameAccepted }])
    if (!Value.Check(eventSinkSchema, spec)) return refused(schemaErrors(eventSinkSchema, spec))
    const complete = completeEventSink(spec)
    const errors = eventSinkErrors(complete)
    return errors.length > 0 ? refused(errors) : { ok: true, document: { kind, name, spec: complete } }
  }
  if (kind === 'Service') {
    if (!Value.Check(serviceSchema, spec)) return refused(schemaErrors(serviceSchema, spec))
    const errors = serviceCheckErrors(spec.checks ?? [])
    return errors.length > 0
      ? refused(errors)
      : { ok: true, document: { kind, name, spec: completeService(spec) } }
  }
  if (!Value.Check(trafficPolicySchema, spec)) return refused(schemaErrors(trafficPolicySchema, spec))
  const complete = completeTrafficPolicy(spec, name)
  const errors = trafficPolicyErrors(complete)
  return errors.length > 0 ? refused(errors) : { ok: true, document: { kind, name, spec: complete } }
}
