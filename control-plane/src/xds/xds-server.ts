import { Server, ServerCredentials, status } from '@grpc/grpc-js'
import type { Revision } from '../domain/revision.ts'
import type { Component } from '../runtime/component.ts'
import { RevisionJournal } from './acks/revision-journal.ts'
import { RevisionWatches, type FollowedRevision } from './acks/revision-watches.ts'
import { XdsCounters } from './counters.ts'
import { SessionError } from './subscription/session.ts'
import type { XdsRequest } from './subscription/xds-request.ts'
import { BoundedLog } from './transport/bounded-log.ts'
import { ByteBudget } from './transport/byte-budget.ts'
import { Http2Guard } from './transport/http2-guard.ts'
import { addDiscoveryServices } from './transport/discovery-services.ts'
import type { StreamContext, XdsCall, XdsForm } from './transport/stream-context.ts'
import { xdsForms } from './transport/xds-forms.ts'
import { XdsStream } from './transport/xds-stream.ts'
import { Admission } from './push/admission.ts'
import { Pace } from './push/pace.ts'
import { FanOut } from './push/fan-out.ts'
import {
  defaultLimits,
  defaultTimings,
  type XdsLimits,
  type XdsServerOptions,
  type XdsTimings,
} from './xds-options.ts'
import { PushSteps } from './push/push-steps.ts'
import { ResourceHub } from './push/resource-hub.ts'
import { StreamBook } from './status/stream-book.ts'
import { streamFigures, type StreamFigures } from './status/stream-figures.ts'
import { OverdueStreams } from './transport/overdue-streams.ts'
import { pendingInput } from './transport/pending-input.ts'
import { StreamLog } from './transport/stream-log.ts'
import { StreamRegistry } from './transport/stream-registry.ts'
import { XdsListener, type ListenAddress } from './transport/xds-listener.ts'

/** What is waited for, and by whom. */
export interface XdsFigures extends StreamFigures {
  /** Streams that a large change has touched and that wait for their turn. */
  readonly fanOut: number
  readonly receivedBytes: number
  readonly queuedBytes: number
}

/** A closed stream's connection is cut if the client has not even taken the status by then. */
const cutOffMs = 1_000
/** A connection without a stream is told to go after that. */
const idleConnectionMs = 60_000
/** What HTTP/2 may keep for one connection (headers, queued frames) before it refuses more streams. */
const sessionMegabytes = 64

/**
 * The generic xDS server: all discovery services for whatever resources its source has. `listen` binds the port, `start`
 * serves until its signal aborts; streams then end with UNAVAILABLE so that sidecars go to another replica.
 */
export class XdsServer implements Component {
  readonly name = 'xds'
  readonly counters = new XdsCounters()
  readonly book: StreamBook
  readonly #options: XdsServerOptions
  readonly #limits: XdsLimits
  readonly #timings: XdsTimings
  readonly #server: Server
  readonly #listener: XdsListener
  readonly #registry: StreamRegistry
  readonly #overdue: OverdueStreams
  readonly #watches: RevisionWatches
  readonly #context: StreamContext<XdsStream>
  readonly #warnings: BoundedLog
  readonly #guard: Http2Guard
  readonly #received: ByteBudget
  #bound: Promise<ListenAddress> | undefined
  #stopping = false
  #lastId = 0

  constructor(options: XdsServerOptions) {
    this.#options = options
    this.#limits = { ...defaultLimits, ...options.limits }
    this.#timings = { ...defaultTimings, ...options.timings }
    const { source, clock, logger } = options
    this.#registry = new StreamRegistry(clock)
    const registry = this.#registry
    this.#overdue = new OverdueStreams({ registry, timings: this.#timings, clock })
    const journal = new RevisionJournal({ head: source.revision() })
    this.#watches = new RevisionWatches({
      journal,
      listen: listener => registry.listen(listener),
      marks: () => registry.marks(),
      clock,
    })
    this.#server = new Server({
      'grpc.max_receive_message_length': this.#limits.maxRequestBytes,
      'grpc.max_send_message_length': -1,
      'grpc.max_concurrent_streams': this.#limits.maxStreamsPerConnection,
      'grpc.max_connection_idle_ms': idleConnectionMs,
      'grpc-node.max_session_memory': sessionMegabytes,
      'grpc.enable_channelz': 0,
    })
    const { counters } = this
    this.#warnings = new BoundedLog({ logger, clock })
    this.#listener = new XdsListener({
      address: options.listen,
      maxConnections: this.#limits.maxConnections,
      tls: options.tls ?? null,
      injector: this.#server.createConnectionInjector(ServerCredentials.createInsecure()),
      onRefused: (reason, peer) => {
        counters.refusals[reason] += 1
        this.#warnings.warn({ reason, peer }, 'refused a connection')
      },
    })
    const budget = (maxBytes: number): ByteBudget =>
      new ByteBudget({ clock, maxBytes, patienceMs: this.#timings.patienceMs })
    this.#received = budget(this.#limits.maxReceivedBytes)
    this.#guard = new Http2Guard({
      clock,
      counters,
      warnings: this.#warnings,
      budget: this.#received,
      maxMessageBytes: this.#limits.maxRequestBytes,
      ...this.#timings,
      owns: socket => this.#listener.owns(socket),
    })
    this.#addDiscovery()
    const fanOut = new FanOut<XdsStream>(clock)
    const revision = (): Revision => source.revision()
    this.book = new StreamBook({ registry, revision, waiting: () => fanOut.waiting(), clock })
    for (const { definition, implementation } of options.services ?? []) {
      this.#server.addService(definition, this.#guard.guarded(implementation))
    }
    this.#context = {
      source,
      hub: new ResourceHub(fanOut),
      fanOut,
      admission: new Admission({ clock, figures: counters }),
      pace: new Pace({ clock, figures: counters }),
      queued: budget(this.#limits.maxQueuedBytes),
      journal,
      clock,
      log: new StreamLog({ counters, logger, warnings: this.#warnings }),
      steps: new PushSteps({ head: source.revision(), counters, clock, tracer: options.tracer }),
      counters,
      limits: this.#limits,
      timings: this.#timings,
      onNamed: (stream, node) => {
        const { maxStreamsPerNode } = this.#limits
        if (this.#registry.count(node) >= maxStreamsPerNode) {
          throw new SessionError(8, `more than ${maxStreamsPerNode} streams of one node`)
        }
        this.#registry.named(stream, node)
      },
      onStatus: stream => {
        this.#registry.update(stream)
      },
      onEnd: stream => {
        counters.streams -= 1
        for (const { state } of stream.deliveries) state.close()
        this.#registry.remove(stream)
      },
    }
  }

  /** Binds the port, once; resolves with the address. Rejects when it cannot be had. */
  listen(): Promise<ListenAddress> {
    if (this.#bound === undefined) this.#guard.start()
    return (this.#bound ??= this.#listener.listen())
  }

  async start(signal: AbortSignal): Promise<void> {
    const { source, clock, logger } = this.#options
    const unwatch = source.onRevision((revision, committedAt) => {
      this.#context.steps.release(revision, committedAt)
      this.#context.fanOut.release()
      this.#watches.applied(revision)
    })
    logger.info(await this.listen(), 'xDS server listens')
    void this.#guard.run(signal)
    const { stuckMs, firstMessageMs, messageMs } = this.#timings
    while (!signal.aborted) {
      await pendingInput(clock)
      this.closeStuck()
      await clock.sleep(Math.max(10, Math.min(stuckMs, firstMessageMs, messageMs) / 10), signal)
    }
    unwatch()
    await this.#stop()
  }

  /** What clients make it keep: streams of HTTP/2 of any service, and bytes beyond those that each stream has of its own. */
  get kept(): {
    readonly http2Streams: number
    readonly receivedBytes: number
    readonly queuedBytes: number
  } {
    const { open: http2Streams } = this.#guard
    return { http2Streams, receivedBytes: this.#received.used, queuedBytes: this.#context.queued.used }
  }

  /** What there is at the moment; costs a look at every stream. */
  async figures(): Promise<XdsFigures> {
    const { counters } = this
    const figures = await streamFigures(this.#registry.streams, { counters, clock: this.#options.clock })
    return { ...figures, fanOut: this.#context.fanOut.size, ...this.kept }
  }

  /**
   * Follows what the sidecars of this server make of a revision, applied already or not yet, and calls `onChange`
   * when its report has changed. How many revisions are followed is for the caller to bound.
   */
  follow(revision: Revision, onChange: () => void): FollowedRevision {
    return this.#watches.follow(revision, onChange)
  }

  /** The single step of the loop: closes the streams whose client has owed something for too long. */
  closeStuck(): void {
    this.#guard.sweep()
    for (const { stream, code, reason } of this.#overdue.find()) this.#cut(stream, code, reason)
  }

  /** Closes the stream, and its connection if the client does not even take the status. */
  #cut(stream: XdsStream, code: number, details: string): void {
    this.counters.closedStuck += 1
    const { peer, id, node } = stream
    this.#warnings.warn(
      { node: node?.id, stream: id, reason: details },
      'closed an xDS stream that was stuck',
    )
    stream.close(code, details)
    this.#options.clock.timer(cutOffMs, () => {
      if (!stream.finished) this.#listener.disconnect(peer)
    })
  }

  #addDiscovery(): void {
    const { counters } = this
    const { heartbeats = false, clock } = this.#options
    const { delta, sotw } = xdsForms({ counters, clock, heartbeats, limits: this.#limits })
    addDiscoveryServices(this.#server, {
      delta: (call, typeUrl) => {
        this.#accept(call, delta, typeUrl)
      },
      sotw: (call, typeUrl) => {
        this.#accept(call, sotw, typeUrl)
      },
    })
  }

  #accept<Request extends XdsRequest>(
    call: XdsCall,
    form: XdsForm<Request>,
    typeUrl: string | undefined,
  ): void {
    this.#lastId += 1
    this.counters.opened += 1
    this.counters.streams += 1
    const guarded = this.#guard.enter(call)
    const stream = new XdsStream({ id: this.#lastId, call, form, typeUrl, context: this.#context, guarded })
    if (this.#stopping) {
      stream.close(status.UNAVAILABLE, 'the control plane is stopping')
      return
    }
    if (this.#registry.streams.size >= this.#limits.maxStreams) {
      this.counters.refuse(status.RESOURCE_EXHAUSTED)
      stream.close(status.RESOURCE_EXHAUSTED, `more than ${this.#limits.maxStreams} streams`)
      return
    }
    this.#registry.add(stream)
    void this.#admit(stream)
  }

  /** X12: nothing is read, so nothing is answered, before the source has its state. */
  async #admit(stream: XdsStream): Promise<void> {
    try {
      await this.#options.source.ready()
      stream.run()
    } catch (error) {
      this.#options.logger.error({ err: error }, 'the source of xDS resources failed to load')
      stream.close(status.UNAVAILABLE, 'the control plane has no state yet')
    }
  }

  async #stop(): Promise<void> {
    this.#stopping = true
    this.#listener.stopAccepting()
    for (const stream of this.#registry.streams) {
      stream.close(status.UNAVAILABLE, 'the control plane is stopping')
    }
    for (const service of this.#options.services ?? []) service.stop()
    const done = new AbortController()
    this.#server.tryShutdown(() => {
      done.abort()
    })
    await this.#options.clock.sleep(this.#timings.stopMs, done.signal)
    this.#server.forceShutdown()
    this.#listener.disconnectAll()
    this.#guard.stop()
  }
}
