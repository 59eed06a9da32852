import { status, type ServerDuplexStream } from '@grpc/grpc-js'
import { LoadStatsResponse } from '@envoyproxy/protos/envoy/service/load_stats/v3/lrs.ts'
import type { Clock, Timer } from '../../runtime/clock.ts'
import { XdsRefusedError, type XdsSource, type XdsView } from '../port.ts'
import { peerOf } from '../transport/peer.ts'
import { statusError } from '../transport/status-error.ts'
import { clusterType } from '../type-urls.ts'
import { decodeLoadNode, decodeLoadReport } from './decode-load-report.ts'
import type { BoundedLog } from '../transport/bounded-log.ts'
import { RequestReader } from '../transport/request-reader.ts'
import type { Pace } from '../push/pace.ts'
import type { LoadBook } from './load-book.ts'
import type { LoadReporter } from './load-report.ts'

export interface LoadStreamContext {
  readonly book: LoadBook
  readonly source: Pick<XdsSource, 'open'>
  readonly clock: Clock
  readonly intervalMs: number
  readonly pace: Pace
  readonly warnings: BoundedLog
  readonly counters: { reports: number; bytes: number; refused: number; absurd: number }
  onEnd(stream: LoadReportStream): void
}

/** A client that says nothing is not kept for longer. */
const firstMessageMs = 30_000
/** Reports that may come at once, beyond one per half interval: what has piled up, restarts of a clock. */
const burst = 20

const sendAllClusters = 'envoy.lrs.supports_send_all_clusters'

/**
 * One client's load reports. Its first message names the node; the answer says what to report and how often. It
 * opens in mode `new` (waiting for that message), is then `reporting`, and in the end `closed`.
 */
export class LoadReportStream {
  readonly #call: ServerDuplexStream<Buffer, Buffer>
  readonly #context: LoadStreamContext
  #reporter: LoadReporter | undefined
  #view: XdsView | undefined
  /** The same, only of a client that must be told its clusters by name. */
  #named: XdsView | undefined
  #unwatch: (() => void) | undefined
  #clustersChanged = false
  #allowance = burst
  #allowedAt = 0
  #timer: Timer | undefined
  #closed = false

  constructor(options: { call: ServerDuplexStream<Buffer, Buffer>; context: LoadStreamContext }) {
    this.#call = options.call
    this.#context = options.context
    this.#call.on('end', () => {
      this.#call.end()
      this.#dispose()
    })
    for (const event of ['cancelled', 'error', 'close']) {
      this.#call.on(event, () => {
        this.#dispose()
      })
    }
  }

  run(): void {
    const { clock } = this.#context
    this.#allowedAt = clock.monotonic()
    this.#timer = clock.timer(firstMessageMs, () => {
      this.close(status.DEADLINE_EXCEEDED, 'no first message came in time')
    })
    new RequestReader({
      call: this.#call,
      pace: this.#context.pace,
      clock,
      onMessage: bytes => {
        if (!this.#closed) this.#receive(bytes)
        return undefined
      },
      onGreedy: () => {
        this.#refuse(new XdsOverloadError('the reports of this stream take too much time'))
      },
    }).start()
  }

  close(code: number, details: string): void {
    if (this.#closed) return
    this.#dispose()
    this.#call.emit('error', statusError(code, details))
  }

  #receive(bytes: Buffer): void {
    const { counters, book } = this.#context
    counters.reports += 1
    counters.bytes += bytes.length
    try {
      this.#spend()
      const reporter = (this.#reporter ??= this.#open(bytes))
      const report = decodeLoadReport(bytes)
      counters.absurd += report.absurd
      book.add(reporter, report)
      if (this.#clustersChanged) this.#ask()
    } catch (error) {
      this.#refuse(error)
    }
  }

  /** A client that reports much more often than it was told to is not worth its cost. */
  #spend(): void {
    const { clock, intervalMs } = this.#context
    const now = clock.monotonic()
    this.#allowance = Math.min(burst, this.#allowance + (now - this.#allowedAt) / (intervalMs / 2))
    this.#allowedAt = now
    if (this.#allowance < 1) throw new XdsOverloadError('load reports come faster than they were asked for')
    this.#allowance -= 1
  }

  #open(bytes: Buffer): LoadReporter {
    const node = decodeLoadNode(bytes)
    if (node === undefined || node.id === '') {
      throw new XdsRefusedError(3, 'the first message of a stream must have a node with an id')
    }
    this.#timer?.cancel()
    this.#timer = undefined
    // Opening says too whether this peer may speak for the node (X25).
    const view = this.#context.source.open(node, peerOf(this.#call))
    view.onRefused?.(error => {
      this.#refuse(error)
    })
    this.#view = view
    if (!node.clientFeatures.includes(sendAllClusters)) {
      this.#named = view
      this.#unwatch = view.set(clusterType)?.watch(() => {
        this.#clustersChanged = true
      })
    }
    this.#ask()
    return { id: node.id, cluster: node.cluster, locality: node.locality }
  }

  /** Says what to report, from now on; the last such message counts. */
  #ask(): void {
    this.#clustersChanged = false
    const ms = this.#context.intervalMs
    const response = LoadStatsResponse.fromPartial({
      clusters: [...(this.#named?.set(clusterType)?.names() ?? [])],
      sendAllClusters: this.#named === undefined,
      loadReportingInterval: { seconds: Math.floor(ms / 1_000), nanos: Math.round((ms % 1_000) * 1_000_000) },
      reportEndpointGranularity: true,
    })
    this.#call.write(Buffer.from(LoadStatsResponse.encode(response).finish()))
  }

  #refuse(error: unknown): void {
    const { counters, warnings } = this.#context
    counters.refused += 1
    const reason = error instanceof Error ? error.message : 'unreadable bytes'
    warnings.warn({ node: this.#reporter?.id, reason }, 'ended a stream of load reports')
    if (error instanceof XdsRefusedError) this.close(error.status, reason)
    else if (error instanceof XdsOverloadError) this.close(status.RESOURCE_EXHAUSTED, reason)
    else this.close(status.INVALID_ARGUMENT, `malformed report: ${reason}`)
  }

  #dispose(): void {
    if (this.#closed) return
    this.#closed = true
    this.#timer?.cancel()
    this.#unwatch?.()
    this.#view?.close()
    this.#context.onEnd(this)
  }
}

class XdsOverloadError extends Error {
  override readonly name = 'XdsOverloadError'
}
