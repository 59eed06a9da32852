import { ValueType, type HrTime } from '@opentelemetry/api'
import { emptyResource } from '@opentelemetry/resources'
import {
  AggregationTemporality,
  DataPointType,
  type CollectionResult,
  type MetricData,
  type MetricProducer,
} from '@opentelemetry/sdk-metrics'
import type { Clock } from '../runtime/clock.ts'
import type { HistogramSample, Instrument, Sample } from './instrument.ts'
import { instruments } from './instruments.ts'
import type { Observers } from './observed.ts'

/** How long a reading waits for a part that asks the database (ms). */
const timeoutMs = 2_000

const hrTime = (ms: number): HrTime => [Math.floor(ms / 1_000), Math.round((ms % 1_000) * 1e6)]

/**
 * Reads the parts of a replica for OpenTelemetry, as a bridge from plain numbers that exist anyway. Its own
 * observable instruments would not do: they keep showing the last value of a part that cannot be read any more.
 */
export class PartProducer implements MetricProducer {
  readonly #observers: Observers
  readonly #clock: Clock
  readonly #startTime: HrTime

  constructor({ observers, clock }: { readonly observers: Observers; readonly clock: Clock }) {
    this.#observers = observers
    this.#clock = clock
    this.#startTime = hrTime(clock.now())
  }

  /** A part that fails or takes longer than 2 s is missing from the metrics and is one of the errors. */
  async collect(): Promise<CollectionResult> {
    const {
      xds,
      loads,
      clientStatus,
      writes,
      feed,
      mesh,
      checks,
      traffic,
      heartbeats,
      outbox,
      modes,
      requests,
      process,
    } = this.#observers
    const parts = await Promise.allSettled([
      this.#read(xds, instruments.xds),
      this.#read(loads, instruments.loads),
      this.#read(clientStatus, instruments.clientStatus),
      this.#read(writes, instruments.writes),
      this.#read(feed, instruments.feed),
      this.#read(mesh, instruments.mesh),
      this.#read(checks, instruments.checks),
      this.#read(traffic, instruments.traffic),
      this.#read(heartbeats, instruments.heartbeats),
      this.#read(outbox, instruments.outbox),
      this.#read(modes, instruments.modes),
      this.#read(requests, instruments.requests),
      this.#read(process, instruments.process),
    ])
    const metrics = parts.flatMap(part => (part.status === 'fulfilled' ? part.value : []))
    const errors = parts.flatMap((part): unknown[] => (part.status === 'rejected' ? [part.reason] : []))
    return {
      resourceMetrics: {
        resource: emptyResource(),
        scopeMetrics: [{ scope: { name: 'waymark' }, metrics }],
      },
      errors,
    }
  }

  async #read<Part>(
    observer: (() => Part | Promise<Part>) | undefined,
    rows: readonly Instrument<Part>[],
  ): Promise<MetricData[]> {
    if (observer === undefined) return []
    const part = await this.#inTime(observer)
    return rows.map(row => this.#metric(row, part))
  }

  #metric<Part>(instrument: Instrument<Part>, part: Part): MetricData {
    const { name, unit, help } = instrument
    const shared = {
      descriptor: { name, unit, description: help, valueType: ValueType.DOUBLE },
      aggregationTemporality: AggregationTemporality.CUMULATIVE,
    }
    const times = { startTime: this.#startTime, endTime: hrTime(this.#clock.now()) }
    if (instrument.kind === 'histogram') {
      const dataPoints = instrument.read(part).map(sample => ({ ...times, ...histogramPoint(sample) }))
      return { ...shared, dataPointType: DataPointType.HISTOGRAM, dataPoints }
    }
    const values = instrument.read(part)
    const samples: readonly Sample[] = typeof values === 'number' ? [{ value: values, labels: {} }] : values
    const dataPoints = samples.map(({ value, labels }) => ({ ...times, value, attributes: { ...labels } }))
    return instrument.kind === 'counter'
      ? { ...shared, dataPointType: DataPointType.SUM, isMonotonic: true, dataPoints }
      : { ...shared, dataPointType: DataPointType.GAUGE, dataPoints }
  }

  async #inTime<Part>(observer: () => Part | Promise<Part>): Promise<Part> {
    return new Promise((resolve, reject) => {
      const late = this.#clock.timer(timeoutMs, () => {
        reject(new Error(`no reading within ${timeoutMs} ms`))
      })
      // Inside of `then`, so that a throw is a rejection, too.
      void Promise.resolve()
        .then(observer)
        .then(resolve, reject)
        .finally(() => {
          late.cancel()
        })
    })
  }
}

const histogramPoint = ({ value: { bounds, counts, sum }, labels }: HistogramSample) => ({
  attributes: { ...labels },
  value: {
    buckets: { boundaries: [...bounds], counts: [...counts] },
    sum,
    count: counts.reduce((all, count) => all + count, 0),
  },
})
