/** W3C trace context, version 00, from and to OpenTelemetry's. */
import {
  isValidSpanId,
  isValidTraceId,
  ROOT_CONTEXT,
  trace,
  TraceFlags,
  type Context,
  type Span,
} from '@opentelemetry/api'

const syntax = /^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})/

/** The context of a `traceparent`; the root for none or one that is no good. */
export const contextOf = (traceparent: string | null): Context => {
  const [, traceId = '', spanId = '', flags = ''] = syntax.exec(traceparent ?? '') ?? []
  if (!isValidTraceId(traceId) || !isValidSpanId(spanId)) return ROOT_CONTEXT
  return trace.setSpanContext(ROOT_CONTEXT, {
    traceId,
    spanId,
    traceFlags: Number.parseInt(flags, 16),
    isRemote: true,
  })
}

export const traceparentOf = (span: Span): string => {
  const { traceId, spanId, traceFlags } = span.spanContext()
  return `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`
}

/** The context of a trace that somebody wants to see; undefined: of none. */
export const sampledContextOf = (traceparent: string | null | undefined): Context | undefined => {
  if (traceparent === null || traceparent === undefined) return undefined
  const context = contextOf(traceparent)
  const flags = trace.getSpanContext(context)?.traceFlags ?? TraceFlags.NONE
  return (flags & TraceFlags.SAMPLED) === 0 ? undefined : context
}
