import { status, type ServerDuplexStream } from '@grpc/grpc-js'
import { LoadReportingServiceService as generated } from '@envoyproxy/protos/envoy/service/load_stats/v3/lrs.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Logger } from '../../runtime/logger.ts'
import type { XdsSource } from '../port.ts'
import { Pace } from '../push/pace.ts'
import { BoundedLog } from '../transport/bounded-log.ts'
import type { ExtraService } from '../transport/extra-service.ts'
import { withoutCodecs } from '../transport/without-codecs.ts'
import type { LoadBook } from './load-book.ts'
import { LoadReportStream, type LoadStreamContext } from './load-report-stream.ts'

/** The service without codecs: a stream reads only what it needs of a report. */
const definition = {
  streamLoadStats: {
    path: generated.streamLoadStats.path,
    requestStream: true,
    responseStream: true,
    ...withoutCodecs,
  },
} as const

export interface LoadReportServiceOptions {
  readonly book: LoadBook
  /** For clients that must be told each cluster by name. */
  readonly source: Pick<XdsSource, 'open'>
  readonly clock: Clock
  readonly logger: Logger
  /** Between two reports of a client. At least 1: Envoy takes 0 for "without a pause". */
  readonly intervalMs: number
  readonly maxStreams?: number
}

export interface LoadReportCounters {
  /** Open now. */
  streams: number
  reports: number
  bytes: number
  /** Streams that were ended for what their client sent, or for want of room. */
  refused: number
  /** Numbers in reports that no counter can be. */
  absurd: number
  /** Reports after which their stream had to wait before it was read again. */
  paced: number
}

/** LRS: takes the load reports of sidecars and writes them into the book. */
export class LoadReportService implements ExtraService {
  readonly definition = definition
  readonly implementation = {
    streamLoadStats: (call: ServerDuplexStream<Buffer, Buffer>): void => {
      this.#accept(call)
    },
  }
  readonly counters: LoadReportCounters = {
    streams: 0,
    reports: 0,
    bytes: 0,
    refused: 0,
    absurd: 0,
    paced: 0,
  }
  readonly #context: LoadStreamContext
  readonly #maxStreams: number
  readonly #streams = new Set<LoadReportStream>()
  #stopping = false

  /** Throws RangeError for an interval that would make clients report without a pause. */
  constructor({ maxStreams = 20_000, ...options }: LoadReportServiceOptions) {
    if (!(options.intervalMs >= 1)) throw new RangeError('the interval of load reports must be 1 ms or more')
    this.#maxStreams = maxStreams
    this.#context = {
      ...options,
      pace: new Pace({ clock: options.clock, figures: this.counters }),
      warnings: new BoundedLog(options),
      counters: this.counters,
      onEnd: stream => {
        if (this.#streams.delete(stream)) this.counters.streams -= 1
      },
    }
  }

  stop(): void {
    this.#stopping = true
    for (const stream of this.#streams) stream.close(status.UNAVAILABLE, 'the control plane is stopping')
  }

  #accept(call: ServerDuplexStream<Buffer, Buffer>): void {
    const stream = new LoadReportStream({ call, context: this.#context })
    if (this.#stopping) stream.close(status.UNAVAILABLE, 'the control plane is stopping')
    else if (this.#streams.size >= this.#maxStreams) {
      this.counters.refused += 1
      stream.close(status.RESOURCE_EXHAUSTED, `more than ${this.#maxStreams} streams of load reports`)
    } else {
      this.#streams.add(stream)
      this.counters.streams += 1
      stream.run()
    }
  }
}
