import { SpanKind, SpanStatusCode, type Attributes, type Tracer } from '@opentelemetry/api'
import type { TracerProvider } from '@opentelemetry/sdk-trace'
import { errorCatalogue, WaymarkError } from '../domain/errors.ts'
import { contextOf, traceparentOf } from './trace-context.ts'

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

/** Spans of the work that a request starts. */
export class Tracing {
  readonly #provider: TracerProvider | null
  readonly #tracer: Tracer | null

  /** null: no spans; the trace context of a request is passed on as it came. */
  constructor(provider: TracerProvider | null) {
    this.#provider = provider
    this.#tracer = provider?.getTracer('waymark') ?? null
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
