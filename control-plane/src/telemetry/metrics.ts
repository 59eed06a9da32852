import type { Histogram } from '@opentelemetry/api'
import { PrometheusSerializer } from '@opentelemetry/exporter-prometheus'
import { resourceFromAttributes } from '@opentelemetry/resources'
import { MeterProvider, MetricReader } from '@opentelemetry/sdk-metrics'
import type { Clock } from '../runtime/clock.ts'
import type { Logger } from '../runtime/logger.ts'
import type { Observers } from './observed.ts'
import { PartProducer } from './part-producer.ts'

export interface MetricsOptions {
  readonly replicaId: string
  readonly observers: Observers
  readonly clock: Clock
  readonly logger: Logger
}

/** A finished HTTP request. */
export interface HttpRequestRecord {
  readonly method: string
  /** The route's pattern, never the path itself: series must stay few. */
  readonly route: string
  readonly status: number
  readonly seconds: number
}

/** Seconds; from an answer out of memory to a request that waits 30 s on purpose. */
const durationBounds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30]

/** Read on demand: nothing is pushed, and no port is opened. */
class ScrapeReader extends MetricReader {
  protected override onShutdown(): Promise<void> {
    return Promise.resolve()
  }

  protected override onForceFlush(): Promise<void> {
    return Promise.resolve()
  }
}

/** The metrics of one replica in Prometheus's text format, read from its parts at each scrape. */
export class Metrics {
  readonly #logger: Logger
  readonly #reader: MetricReader
  readonly #serializer = new PrometheusSerializer(undefined, false, undefined, false, true)
  readonly #requests: Histogram

  constructor({ replicaId, observers, clock, logger }: MetricsOptions) {
    this.#logger = logger
    this.#reader = new ScrapeReader({ metricProducers: [new PartProducer({ observers, clock })] })
    const resource = resourceFromAttributes({
      'service.name': 'waymark-control-plane',
      'service.instance.id': replicaId,
    })
    const meter = new MeterProvider({ resource, readers: [this.#reader] }).getMeter('waymark')
    this.#requests = meter.createHistogram('http_server_request_duration_seconds', {
      unit: 's',
      description: 'Duration of HTTP requests',
      advice: { explicitBucketBoundaries: durationBounds },
    })
  }

  recordRequest({ method, route, status, seconds }: HttpRequestRecord): void {
    this.#requests.record(seconds, {
      'http.request.method': method,
      'http.route': route,
      'http.response.status_code': status,
    })
  }

  /** A part that cannot be read is missing from the text and named in the log. */
  async text(): Promise<string> {
    const { resourceMetrics, errors } = await this.#reader.collect()
    for (const error of errors) this.#logger.warn({ error }, 'a part could not be measured')
    return this.#serializer.serialize(resourceMetrics)
  }
}
