import {
  isValidSpanId,
  isValidTraceId,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  trace,
  type Context,
  type Tracer,
} from '@opentelemetry/api'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-grpc'
import { resourceFromAttributes } from '@opentelemetry/resources'
import {
  BatchSpanProcessor,
  ParentBasedSampler,
  TracerProvider,
  TraceIdRatioBasedSampler,
  type SpanProcessor,
} from '@opentelemetry/sdk-trace'
import { hostPort } from '@waymark/sidecar-config/model/host-port.ts'
import { errorCatalogue, WaymarkError } from '../domain/errors.ts'

/** Where the spans of the control plane go: OTLP over gRPC. */
export interface TraceTarget {
  readonly host: string
  readonly port: number
  readonly tls: boolean
  /** 0 to 100: the share of the traces that begin here. A trace that comes with a request keeps its decision. */
  readonly samplingPercent: number
}

export interface TracingOptions {
  readonly replicaId: string
  /** null: no spans; the trace context of a request is passed on as it came. */
  readonly target: TraceTarget | null
  /** Takes the place of the exporter. */
  readonly processor?: SpanProcessor
}

export interface SpanRequest {
  /** Few distinct values: `PUT /api/v1/services/{service}/instances/{id}`. */
  readonly name: string
  /** W3C `traceparent` of the request; null: none. */
  readonly traceparent: string | null
  readonly attributes?: Readonly<Record<string, string | number | boolean>>
}

const maxQueueSize = 2_048
const exportTimeoutMillis = 5_000

/** Spans of the work that a request starts. Constructing opens no connection; the first export does. */
export class Tracing {
  readonly #provider: TracerProvider | null
  readonly #tracer: Tracer | null

  constructor({ replicaId, target, processor }: TracingOptions) {
    this.#provider = target === null ? null : createProvider(replicaId, target, processor)
    this.#tracer = this.#provider?.getTracer('waymark') ?? null
  }

  /**
   * Runs `run` inside of a span that continues the request's trace, and gives it the `traceparent` that its own
   * work belongs to. Settles as `run` does. What the caller did wrong (WaymarkError below 500) is noted on the
   * span, but does not make it a failed one.
   */
  async withSpan<T>(
    { name, traceparent, attributes = {} }: SpanRequest,
    run: (traceparent: string | null) => Promise<T>,
  ): Promise<T> {
    if (this.#tracer === null) return run(traceparent)
    const parent = parseTraceparent(traceparent)
    const span = this.#tracer.startSpan(
      name,
      { kind: SpanKind.SERVER, attributes: { ...attributes } },
      parent,
    )
    const { traceId, spanId, traceFlags } = span.spanContext()
    const flags = traceFlags.toString(16).padStart(2, '0')
    try {
      return await run(`00-${traceId}-${spanId}-${flags}`)
    } catch (error) {
      const code = error instanceof WaymarkError ? error.code : 'internal'
      span.setAttribute('error.type', code)
      if (errorCatalogue[code].status >= 500) span.setStatus({ code: SpanStatusCode.ERROR, message: code })
      throw error
    } finally {
      span.end()
    }
  }

  /** Exports what is left, for at most 5 s; never rejects: a collector that is away must not hold up the end. */
  async stop(): Promise<void> {
    await this.#provider?.shutdown().catch(() => undefined)
  }
}

const createProvider = (
  replicaId: string,
  { host, port, tls, samplingPercent }: TraceTarget,
  processor: SpanProcessor | undefined,
): TracerProvider => {
  return new TracerProvider({
    resource: resourceFromAttributes({
      'service.name': 'waymark-control-plane',
      'service.instance.id': replicaId,
    }),
    sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(samplingPercent / 100) }),
    spanProcessors: [
      processor ??
        new BatchSpanProcessor({
          exporter: new OTLPTraceExporter({
            url: `${tls ? 'https' : 'http'}://${hostPort({ host, port })}`,
            timeoutMillis: exportTimeoutMillis,
          }),
          maxQueueSize,
          exportTimeoutMillis,
        }),
    ],
  })
}

const parseTraceparent = (traceparent: string | null): Context => {
  const [, traceId = '', spanId = '', flags = ''] =
    /^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})/.exec(traceparent ?? '') ?? []
  if (!isValidTraceId(traceId) || !isValidSpanId(spanId)) return ROOT_CONTEXT
  return trace.setSpanContext(ROOT_CONTEXT, {
    traceId,
    spanId,
    traceFlags: Number.parseInt(flags, 16),
    isRemote: true,
  })
}
