import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { OutgoingHttpHeaders } from 'node:http'
import { constants, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2'
import type { UntypedHandleCall, UntypedServiceImplementation } from '@grpc/grpc-js'
import { status } from '@grpc/grpc-js'
import type { Clock } from '../../runtime/clock.ts'
import type { XdsCounters } from '../counters.ts'
import type { BoundedLog } from './bounded-log.ts'
import type { ByteBudget } from './byte-budget.ts'
import { GuardedStream, type AnyCall, type GuardedHost } from './guarded-stream.ts'
import { Keepalive } from './keepalive.ts'
import type { PeerSocket } from './xds-listener.ts'

interface Http2GuardOptions {
  readonly clock: Pick<Clock, 'monotonic' | 'sleep' | 'soon'>
  readonly counters: XdsCounters
  readonly warnings: BoundedLog
  readonly budget: ByteBudget
  readonly maxMessageBytes: number
  /** A message that has not come whole by then ends its stream. */
  readonly messageMs: number
  /** See `Keepalive`. */
  readonly keepaliveMs: number
  readonly keepaliveTimeoutMs: number
  /** The connection is one of this server's. */
  readonly owns: (socket: PeerSocket) => boolean
}

const okCode: number = status.OK
const deadlineCode: number = status.DEADLINE_EXCEEDED

const created = 'http2.server.stream.created'
const responded = 'http2.server.stream.finish'
const closed = 'http2.server.stream.close'

/**
 * Sees the HTTP/2 streams below gRPC, by what Node publishes about them: counts those that gRPC refuses on its own, and bounds
 * what is kept of messages that have not come whole or wait to be handled. Streams that it ends are reset with
 * ENHANCE_YOUR_CALM, which gRPC clients take for RESOURCE_EXHAUSTED.
 */
export class Http2Guard {
  readonly #options: Http2GuardOptions
  readonly #keepalive: Keepalive
  readonly #sessions = new WeakSet<object>()
  readonly #streams = new Map<ServerHttp2Stream, GuardedStream>()
  /** Those with a message that has not come whole, the oldest first. */
  readonly #partial = new Set<GuardedStream>()
  /** That which is being handed to its handler. */
  #entering: GuardedStream | undefined

  readonly #host: GuardedHost = {
    partial: (guarded, begun) => {
      if (!begun) this.#partial.delete(guarded)
      else {
        guarded.partialSince = this.#options.clock.monotonic()
        this.#partial.add(guarded)
      }
    },
    evicted: guarded => {
      this.#reset(guarded, 'messages of all streams need too much memory')
    },
  }

  constructor(options: Http2GuardOptions) {
    this.#options = options
    this.#keepalive = new Keepalive(options)
  }

  /** Streams that are open now. */
  get open(): number {
    return this.#streams.size
  }

  start(): void {
    subscribe(created, this.#onCreated)
    subscribe(responded, this.#onResponded)
    subscribe(closed, this.#onClosed)
  }

  /** Pings silent clients, and gives up those that have vanished, until the signal aborts. */
  run(signal: AbortSignal): Promise<void> {
    return this.#keepalive.run(signal)
  }

  stop(): void {
    unsubscribe(created, this.#onCreated)
    unsubscribe(responded, this.#onResponded)
    unsubscribe(closed, this.#onClosed)
  }

  /** Called by the handler of a call in the turn in which it gets the call; undefined: nothing is known of it. */
  enter(call: AnyCall): GuardedStream | undefined {
    const guarded = this.#entering
    if (guarded === undefined) return undefined
    call.prependOnceListener('error', () => {
      guarded.counted = true
    })
    const { budget, maxMessageBytes } = this.#options
    guarded.enter(call, { budget, maxMessageBytes })
    const read = call._read.bind(call)
    call._read = size => {
      guarded.inbox?.handled()
      read(size)
    }
    return guarded
  }

  /** The same handlers, whose calls are guarded. */
  guarded(handlers: UntypedServiceImplementation): UntypedServiceImplementation {
    const guard = (handler: UntypedHandleCall): UntypedHandleCall =>
      new Proxy(handler, {
        apply: (target, self, args: [AnyCall]) => {
          this.enter(args[0])
          return Reflect.apply(target, self, args) as unknown
        },
      })
    return Object.fromEntries(Object.entries(handlers).map(([name, handler]) => [name, guard(handler)]))
  }

  /** The single step of the server's loop: ends the streams whose message has been on its way for too long. */
  sweep(): void {
    const until = this.#options.clock.monotonic() - this.#options.messageMs
    for (const guarded of this.#partial) {
      if (guarded.partialSince > until) return
      this.#reset(guarded, 'a message did not come whole in time')
    }
  }

  readonly #onCreated = (message: unknown): void => {
    const { stream } = message as { readonly stream: ServerHttp2Stream }
    const { session } = stream
    if (session?.socket === undefined || !this.#options.owns(session.socket)) return
    this.#streams.set(stream, new GuardedStream(stream, this.#host))
    if (this.#sessions.has(session)) return
    this.#sessions.add(session)
    this.#follow(session as ServerHttp2Session)
    this.#keepalive.follow(session as ServerHttp2Session)
  }

  /** gRPC calls the handler while the session tells of the stream: what comes first and last then frames it. */
  #follow(session: ServerHttp2Session): void {
    session.prependListener('stream', stream => {
      this.#entering = this.#streams.get(stream)
    })
    session.on('stream', () => {
      this.#entering = undefined
    })
  }

  /** A call that is refused before it has sent anything ends with its head; its client may never close it. */
  readonly #onResponded = (message: unknown): void => {
    const guarded = this.#streams.get((message as { readonly stream: ServerHttp2Stream }).stream)
    if (guarded !== undefined && !guarded.counted) this.#countEnd(guarded)
  }

  readonly #onClosed = (message: unknown): void => {
    const { stream } = message as { readonly stream: ServerHttp2Stream }
    const guarded = this.#streams.get(stream)
    if (guarded === undefined) return
    this.#streams.delete(stream)
    guarded.inbox?.close()
    this.#partial.delete(guarded)
    if (!guarded.counted) this.#countEnd(guarded)
  }

  #countEnd(guarded: GuardedStream): void {
    const { stream } = guarded
    const { counters, warnings } = this.#options
    const headers = stream.sentHeaders as OutgoingHttpHeaders | undefined
    const trailers = stream.sentTrailers
    const unsupported = Number(headers?.[':status'] ?? 200) !== 200
    const code = Number(trailers?.['grpc-status'] ?? headers?.['grpc-status'] ?? status.OK)
    // The client's own deadline has passed: it asked for this.
    if (!unsupported && (code === okCode || code === deadlineCode)) return
    guarded.counted = true
    counters.refusedBelow(unsupported ? status.INVALID_ARGUMENT : code)
    const reason = unsupported ? 'not a call of gRPC' : (trailers ?? headers)?.['grpc-message']
    warnings.warn({ code, reason }, 'gRPC refused a call')
  }

  #reset(guarded: GuardedStream, reason: string): void {
    if (guarded.counted) return
    const { counters, warnings } = this.#options
    guarded.counted = true
    this.#partial.delete(guarded)
    counters.refuse(status.RESOURCE_EXHAUSTED)
    warnings.warn({ reason }, 'reset a stream')
    guarded.stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM)
  }
}
