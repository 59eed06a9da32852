import { Server, ServerCredentials, status } from '@grpc/grpc-js'
import type { ServerDuplexStream } from '@grpc/grpc-js'
import type { Revision } from '../domain/revision.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Component } from '../runtime/component.ts'
import type { Logger } from '../runtime/logger.ts'
import { RevisionJournal } from './acks/revision-journal.ts'
import { RevisionWatches, type FollowedRevision } from './acks/revision-watches.ts'
import { adsService } from './transport/ads-service.ts'
import { newXdsCounters, type XdsCounters } from './counters.ts'
import type { SessionLimits, SessionTimings } from './subscription/delta-session.ts'
import { DeltaStream, type DeltaCall, type StreamContext } from './transport/delta-stream.ts'
import type { ExtraService } from './transport/extra-service.ts'
import { FanOut } from './push/fan-out.ts'
import type { XdsSource } from './port.ts'
import { ResourceHub } from './push/resource-hub.ts'
import { ResponseEncoder } from './push/response-encoder.ts'
import { heldResources, type ClientView } from './status/held-resources.ts'
import type { ResourceStatus, StreamStatus } from './status/status.ts'
import { resourceStatuses, streamStatus } from './status/stream-status.ts'
import { StreamRegistry, type StatusListener } from './transport/stream-registry.ts'
import type { ReloadedTls } from './transport/tls-material.ts'
import { XdsListener, type ListenAddress } from './transport/xds-listener.ts'

export interface XdsLimits extends SessionLimits {
  readonly maxStreams: number
  readonly maxConnections: number
  readonly maxRequestBytes: number
}

export interface XdsTimings extends SessionTimings {
  /** After this long without taking bytes or answering, a stream is closed with RESOURCE_EXHAUSTED. */
  readonly stuckMs: number
  /** Between pings on a silent connection. */
  readonly keepaliveMs: number
  readonly keepaliveTimeoutMs: number
  /** How long streams may take to end when the server stops. */
  readonly stopMs: number
}

export interface XdsServerOptions {
  readonly source: XdsSource
  readonly clock: Clock
  readonly logger: Logger
  readonly listen: ListenAddress
  /** Without: plain text. */
  readonly tls?: ReloadedTls
  readonly limits?: Partial<XdsLimits>
  readonly timings?: Partial<XdsTimings>
  /** Served on the same port. */
  readonly services?: readonly ExtraService[]
}

const mebibyte = 1024 * 1024

const defaultLimits: XdsLimits = {
  maxNames: 200_000,
  maxTypes: 32,
  maxResponseBytes: 3 * mebibyte,
  maxStreams: 20_000,
  maxConnections: 20_000,
  maxRequestBytes: 4 * mebibyte,
}

const defaultTimings: XdsTimings = {
  clusterAnswerMs: 100,
  clusterStuckMs: 16_000,
  orderMs: 20_000,
  stuckMs: 300_000,
  keepaliveMs: 30_000,
  keepaliveTimeoutMs: 20_000,
  stopMs: 2_000,
}

/** A closed stream's connection is cut if the client has not even taken the status by then. */
const cutOffMs = 1_000

/**
 * The generic xDS server: delta ADS for whatever resources its source has. `listen` binds the port, `start`
 * serves until its signal aborts; streams then end with UNAVAILABLE so that sidecars go to another replica.
 */
export class XdsServer implements Component {
  readonly name = 'xds'
  readonly counters: XdsCounters = newXdsCounters()
  readonly #options: XdsServerOptions
  readonly #limits: XdsLimits
  readonly #timings: XdsTimings
  readonly #server: Server
  readonly #listener: XdsListener
  readonly #registry: StreamRegistry
  readonly #watches: RevisionWatches
  readonly #context: StreamContext
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
      'grpc.keepalive_time_ms': this.#timings.keepaliveMs,
      'grpc.keepalive_timeout_ms': this.#timings.keepaliveTimeoutMs,
      'grpc.enable_channelz': 0,
    })
    this.#server.addService(adsService, {
      deltaAggregatedResources: (call: DeltaCall) => {
        this.#accept(call)
      },
      streamAggregatedResources: refuseSotw,
    })
    for (const { definition, implementation } of options.services ?? []) {
      this.#server.addService(definition, implementation)
    }
    this.#listener = new XdsListener({
      address: options.listen,
      maxConnections: this.#limits.maxConnections,
      tls: options.tls ?? null,
      injector: this.#server.createConnectionInjector(ServerCredentials.createInsecure()),
    })
    const counters = this.counters
    this.#context = {
      source,
      hub: new ResourceHub(),
      fanOut: new FanOut(clock),
      journal,
      encoder: new ResponseEncoder({ noncePrefix: `${clock.now().toString(36)}-`, counters, ttl: false }),
      clock,
      logger,
      counters,
      limits: this.#limits,
      timings: this.#timings,
      onStatus: stream => {
        this.#registry.update(stream)
      },
      onEnd: stream => {
        counters.streams -= 1
        this.#registry.remove(stream)
      },
    }
  }

  /** Binds the port, once; resolves with the address. Rejects when it cannot be had. */
  listen(): Promise<ListenAddress> {
    return (this.#bound ??= this.#listener.listen())
  }

  async start(signal: AbortSignal): Promise<void> {
    const { source, clock, logger } = this.#options
    const unwatch = source.onRevision(revision => {
      this.#context.fanOut.release()
      this.#watches.applied(revision)
    })
    logger.info(await this.listen(), 'xDS server listens')
    while (!signal.aborted) {
      this.closeStuck()
      await clock.sleep(Math.max(10, this.#timings.stuckMs / 10), signal)
    }
    unwatch()
    await this.#stop()
  }

  /** The newest stream of each node. */
  streams(): StreamStatus[] {
    return [...this.#registry.newest()].flatMap(stream => this.#status(stream) ?? [])
  }

  /** The newest stream of this node. */
  stream(node: string): StreamStatus | undefined {
    const stream = this.#registry.find(node)
    return stream === undefined ? undefined : this.#status(stream)
  }

  /** What this node has been sent and what it has ACKed; empty when it has no stream here. */
  resources(node: string): ResourceStatus[] {
    const stream = this.#registry.find(node)
    return stream === undefined ? [] : resourceStatuses(stream, this.#options.clock)
  }

  /** The clients that are connected, by the newest stream of each. */
  clients(): ClientView[] {
    return [...this.#registry.newest()].flatMap(stream => this.#client(stream) ?? [])
  }

  /** The newest stream of this node. */
  client(node: string): ClientView | undefined {
    const stream = this.#registry.find(node)
    return stream === undefined ? undefined : this.#client(stream)
  }

  /**
   * Follows what the sidecars of this server make of a revision, applied already or not yet, and calls `onChange`
   * when its report has changed. How many revisions are followed is for the caller to bound.
   */
  follow(revision: Revision, onChange: () => void): FollowedRevision {
    return this.#watches.follow(revision, onChange)
  }

  /** Calls `listener` with the nodes whose status may have changed. Returns the call that ends it. */
  onStatus(listener: StatusListener): () => void {
    return this.#registry.listen(listener)
  }

  /** The single step of the loop: closes the streams whose client has owed something for too long. */
  closeStuck(): void {
    const { clock, logger } = this.#options
    const now = clock.monotonic()
    for (const stream of this.#registry.streams) {
      const since = stream.stuckSince
      if (since === undefined || now - since < this.#timings.stuckMs) continue
      this.counters.closedStuck += 1
      logger.warn({ node: stream.node?.id, stream: stream.id }, 'closed an xDS stream that was stuck')
      const { peer } = stream
      stream.close(status.RESOURCE_EXHAUSTED, 'the client took or answered nothing for too long')
      clock.timer(cutOffMs, () => {
        if (!stream.finished) this.#listener.disconnect(peer)
      })
    }
  }

  #client(stream: DeltaStream): ClientView | undefined {
    const { node } = stream
    return node && { node, resources: () => heldResources(stream, this.#options.clock) }
  }

  #status(stream: DeltaStream): StreamStatus | undefined {
    return streamStatus(stream, this.#options.source.revision(), this.#options.clock)
  }

  #accept(call: DeltaCall): void {
    this.#lastId += 1
    this.counters.opened += 1
    this.counters.streams += 1
    const stream = new DeltaStream({ id: this.#lastId, call, context: this.#context })
    if (this.#stopping) {
      stream.close(status.UNAVAILABLE, 'the control plane is stopping')
      return
    }
    if (this.#registry.streams.size >= this.#limits.maxStreams) {
      this.counters.refused += 1
      stream.close(status.RESOURCE_EXHAUSTED, `more than ${this.#limits.maxStreams} streams`)
      return
    }
    this.#registry.add(stream)
    void this.#admit(stream)
  }

  /** X12: nothing is read, so nothing is answered, before the source has its state. */
  async #admit(stream: DeltaStream): Promise<void> {
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
  }
}

function refuseSotw(call: ServerDuplexStream<Buffer, Buffer>): void {
  const details = 'state-of-the-world ADS is not served; use DeltaAggregatedResources (api_type: DELTA_GRPC)'
  call.emit('error', Object.assign(new Error(details), { code: status.UNIMPLEMENTED, details }))
}
