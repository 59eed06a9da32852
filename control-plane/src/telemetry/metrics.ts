import { PrometheusSerializer } from '@opentelemetry/exporter-prometheus'
import { resourceFromAttributes } from '@opentelemetry/resources'
import { MeterProvider, MetricReader } from '@opentelemetry/sdk-metrics'
import type { Clock } from '../runtime/clock.ts'
import type { Logger } from '../runtime/logger.ts'
import type { Observers } from './observed.ts'
import { PartProducer } from './part-producer.ts'
import { RequestTimes, type HttpRequestRecord } from './request-times.ts'

export interface MetricsOptions {
  readonly replicaId: string
  readonly observers: Omit<Observers, 'requests'>
  readonly clock: Clock
  readonly logger: Logger
}

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
  readonly #requests = new RequestTimes()

  constructor({ replicaId, observers, clock, logger }: MetricsOptions) {
    this.#logger = logger
    const requests = () => [...this.#requests.samples()]
    this.#reader = new ScrapeReader({
      metricProducers: [new PartProducer({ observers: { ...observers, requests }, clock })],
    })
    const resource = resourceFromAttributes({
      'service.name': 'waymark-control-plane',
      'service.instance.id': replicaId,
    })
    // It is the reader that is asked.
    new MeterProvider({ resource, readers: [this.#reader] })
  }

  recordRequest(record: HttpRequestRecord): void {
    this.#requests.record(record)
  }

  /** A part that cannot be read is missing from the text and named in the log. */
  async text(): Promise<string> {
    const { resourceMetrics, errors } = await this.#reader.collect()
    for (const error of errors) this.#logger.warn({ error }, 'a part could not be measured')
    return this.#serializer.serialize(resourceMetrics)
  }
}
