import type { TracerProvider } from '@opentelemetry/sdk-trace'
import type { Clock } from '../runtime/clock.ts'
import type { Component } from '../runtime/component.ts'
import type { Logger } from '../runtime/logger.ts'
import { FeedTracing } from './feed-tracing.ts'
import { Metrics } from './metrics.ts'
import type { Observers } from './observed.ts'
import { ProcessObserver } from './process-observer.ts'
import type { HttpRequestRecord } from './request-times.ts'
import { Tracing, type RequestSpan, type SpanRequest } from './tracing.ts'

export interface TelemetryOptions {
  readonly replicaId: string
  readonly clock: Clock
  readonly logger: Logger
  /** What the parts tell about themselves; the process is observed without being asked. */
  readonly observers: Omit<Observers, 'process' | 'requests'>
  /** Makes spans (`createTraceProvider`); null: nobody wants any. */
  readonly traces: TracerProvider | null
}

/** What an operator sees of one replica: metrics to scrape, spans to a collector. */
export class Telemetry implements Component {
  readonly name = 'telemetry'
  readonly #process = new ProcessObserver()
  readonly #metrics: Metrics
  readonly #tracing: Tracing
  /** The spans of what becomes of a write in this replica. */
  readonly steps: FeedTracing

  constructor({ replicaId, clock, logger, observers, traces }: TelemetryOptions) {
    this.#metrics = new Metrics({
      replicaId,
      clock,
      logger,
      observers: { ...observers, process: () => this.#process.read() },
    })
    this.#tracing = new Tracing(traces)
    this.steps = new FeedTracing(this.#tracing.tracer)
  }

  /** Prometheus's text format, version 0.0.4. Never rejects for a part that cannot be read. */
  metricsText(): Promise<string> {
    return this.#metrics.text()
  }

  recordRequest(record: HttpRequestRecord): void {
    this.#metrics.recordRequest(record)
  }

  /** See `Tracing.beginRequest`. */
  beginRequest(request: Parameters<Tracing['beginRequest']>[0]): RequestSpan {
    return this.#tracing.beginRequest(request)
  }

  /** See `Tracing.withSpan`. */
  withSpan<T>(request: SpanRequest<T>, run: (traceparent: string | null) => Promise<T>): Promise<T> {
    return this.#tracing.withSpan(request, run)
  }

  async start(signal: AbortSignal): Promise<void> {
    this.#process.start()
    if (!signal.aborted) {
      await new Promise<void>(resolve => {
        signal.addEventListener('abort', () => {
          resolve()
        })
      })
    }
    this.#process.stop()
    await this.#tracing.stop()
  }
}
