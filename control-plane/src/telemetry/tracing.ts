import { SpanKind, SpanStatusCode, type Attributes, type Tracer } from '@opentelemetry/api'
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
import { contextOf, traceparentOf } from './trace-context.ts'

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

export interface SpanRequest<T> {
  readonly name: string
  /** W3C `traceparent` of what asked for the work; null: none. */
  readonly traceparent: string | null
  readonly attributes?: Attributes
  /** What the result adds to them. */
  readonly resultAttributes?: (result: T) => Attributes
}

export interface RequestSpan {
  /** What the request starts belongs to this. */
  readonly traceparent: string | null
  /** `status`: of the answer. Calls after the first do nothing. */
  end(status: number): void
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

  /** null: nobody wants spans. */
  get tracer(): Tracer | null {
    return this.#tracer
  }

  /**
   * A span for an HTTP request that continues the client's trace. `route`: few distinct values,
   * `/api/v1/services/:service/instances/:id`.
   */
  beginRequest(request: { method: string; route: string; traceparent: string | null }): RequestSpan {
    const { method, route, traceparent } = request
    if (this.#tracer === null) return { traceparent, end: () => undefined }
    const span = this.#tracer.startSpan(
      `${method} ${route}`,
      { kind: SpanKind.SERVER, attributes: { 'http.request.method': method, 'http.route': route } },
      contextOf(traceparent),
    )
    return {
      traceparent: traceparentOf(span),
      end: status => {
        span.setAttribute('http.response.status_code', status)
        if (status >= 500) span.setStatus({ code: SpanStatusCode.ERROR })
        span.end()
      },
    }
  }

  /**
   * Runs `run` inside of a span that continues a trace, and gives it the `traceparent` that its own work belongs to.
   * Settles as `run` does. What the caller did wrong (WaymarkError below 500) is noted on the span, but does not make
   * it a failed one.
   */
  async withSpan<T>(
    { name, traceparent, attributes = {}, resultAttributes }: SpanRequest<T>,
    run: (traceparent: string | null) => Promise<T>,
  ): Promise<T> {
    if (this.#tracer === null) return run(traceparent)
    const span = this.#tracer.startSpan(name, { kind: SpanKind.INTERNAL, attributes }, contextOf(traceparent))
    try {
      const result = await run(traceparentOf(span))
      if (resultAttributes !== undefined) span.setAttributes(resultAttributes(result))
      return result
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
