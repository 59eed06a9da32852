import type { Revision } from '../../domain/revision.ts'
import type { Timer } from '../../runtime/clock.ts'
import type { RevisionRecord } from '../acks/revision-journal.ts'
import { StreamMark } from '../acks/stream-mark.ts'
import type { Batch } from '../subscription/batch.ts'
import { limitsFor, SessionError, type Session } from '../subscription/session.ts'
import type { MalformedRequest, XdsRequest } from '../subscription/xds-request.ts'
import type { Delivery } from '../subscription/delivery.ts'
import type { Flushable } from '../push/fan-out.ts'
import type { XdsNode, XdsView } from '../port.ts'
import { StreamShape } from '../status/stream-shape.ts'
import { peerOf } from './peer.ts'
import type { FormName, StreamContext, XdsCall, XdsForm } from './stream-context.ts'
import { statusError } from './status-error.ts'
import { clusterType } from '../type-urls.ts'
import { readWhenAdmitted } from './read-when-admitted.ts'
import { headBytes } from './grpc-frame.ts'
import type { GuardedStream } from './guarded-stream.ts'
import { ResponseQueue } from './response-queue.ts'
import { TypeSubscribers } from './type-subscribers.ts'
import { malformedError, typedRequest } from './typed-request.ts'

/**
 * One stream of a discovery service: a grpc-js call on one side, a session on the other. It opens in mode `new` (waiting for
 * the first message, which names the node), is then `open`, and in the end `closed`; nothing leaves `closed`.
 */
export class XdsStream<Request extends XdsRequest = XdsRequest> implements Flushable {
  readonly id: number
  readonly connectedAt: number
  /** The only type of its service; undefined: all types of its client come by it. */
  readonly typeUrl: string | undefined
  readonly shape = new StreamShape()
  /** All streams of its node, itself too; kept by the registry from the first message on. */
  siblings: readonly XdsStream[] = []
  readonly #call: XdsCall
  readonly #form: XdsForm<Request>
  readonly #context: StreamContext<XdsStream>
  readonly #types: TypeSubscribers
  readonly #queue: ResponseQueue
  readonly #guarded: GuardedStream | undefined
  /** Since when the first message is waited for. */
  #idleSince: number | undefined
  #node: XdsNode | undefined
  #view: XdsView | undefined
  #opened: Session<Request> | undefined
  #mark: StreamMark | undefined
  #closed = false
  #heardAt: number
  #peer: string | undefined
  #lastSequence = 0
  #timer: Timer | undefined
  #waking = false
  /** The last announcement that it has been told of. */
  #toldOf = 0

  constructor(options: {
    id: number
    call: XdsCall
    form: XdsForm<Request>
    typeUrl: string | undefined
    context: StreamContext<XdsStream>
    /** Undefined: nothing is known of the HTTP/2 stream of the call. */
    guarded: GuardedStream | undefined
  }) {
    this.id = options.id
    this.typeUrl = options.typeUrl
    this.#call = options.call
    this.#form = options.form
    this.#context = options.context
    this.#guarded = options.guarded
    this.connectedAt = options.context.clock.now()
    this.#heardAt = this.connectedAt
    this.#types = new TypeSubscribers({ ...options.context, owner: this })
    this.#queue = new ResponseQueue({
      call: options.call,
      direct: options.guarded,
      clock: options.context.clock,
      budget: options.context.queued,
      onEvict: () => {
        // The stream is reset: a status would wait behind what nobody reads.
        options.guarded?.evicted()
      },
      onTaken: () => {
        if (this.#session?.deliveries.some(({ hasWork }) => hasWork) === true) this.flush()
      },
    })
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

  get node(): XdsNode | undefined {
    return this.#node
  }

  /** What the revisions that touched it remember it by; undefined until the first message. */
  get mark(): StreamMark | undefined {
    return this.#mark
  }

  /** As it was when first asked for. */
  get peer(): string {
    return (this.#peer ??= this.#call.getPeer())
  }

  /** When its last message came; milliseconds since the epoch. */
  get heardAt(): number {
    return this.#heardAt
  }

  get form(): FormName {
    return this.#form.name
  }

  /** Responses that the transport has not taken yet. */
  get queued(): number {
    return this.#queue.size
  }

  get deliveries(): readonly Delivery[] {
    return this.#session?.deliveries ?? []
  }

  /** The client has been sent the status, as far as the transport knows. */
  get finished(): boolean {
    return this.#guarded?.finished ?? (this.#call.writableFinished || this.#call.destroyed)
  }

  /** Takes requests from now on. Those that came before wait in the transport, bounded by its flow control. */
  run(): void {
    if (this.#closed) return
    this.#idleSince = this.#context.clock.monotonic()
    readWhenAdmitted<Request>({
      ...this.#context,
      call: this.#call,
      direct: this.#guarded,
      decode: bytes => {
        this.#context.counters.requests += 1
        return this.#form.decode(bytes)
      },
      onFirst: () => {
        this.#idleSince = undefined
        this.#guarded?.inbox?.handled()
      },
      onMessage: message => {
        this.#receive(message)
      },
      onGreedy: () => {
        this.#refuse(new SessionError(8, 'the requests of this stream take too much time'))
      },
    })
  }

  flush(): void {
    const session = this.#session
    if (session === undefined || this.#closed) return
    const { clock, log, steps, fanOut } = this.#context
    fanOut.flushed(this)
    const { encoder } = this.#form
    const now = clock.monotonic()
    let sent = false
    while (this.#queue.takesMore()) {
      const batch = session.next(now)
      if (batch === undefined) break
      const response = encoder.encode(batch, this.#lastSequence)
      const { resources, removed } = response
      this.#lastSequence = response.sequence
      session.sent({ ...batch, resources, removed }, response.nonce, now)
      log.sent(batch, response.framed.length - headBytes)
      if (steps.traces) this.#trace(batch, response.nonce)
      this.#queue.write(response.framed)
      sent = true
    }
    if (this.#mark?.undecided === true) {
      // What is held back because it was refused is not what the client has.
      const owes = ({ hasWork, refusals }: Delivery): boolean => hasWork || refusals.length > 0
      this.#mark.flushed(sent || session.deliveries.some(owes))
    }
    this.#types.settle()
    this.#schedule(session, now)
    // Also without a response: what has become equal to what the client has is no longer refused or waiting.
    this.#context.onStatus(this)
  }

  /** Ends the call with a status; what is queued in the transport goes out before it. */
  close(status: number, details: string): void {
    if (this.#closed) return
    this.#dispose()
    this.#call.emit('error', statusError(status, details))
  }

  /** Since when it could have named its node and has not. */
  get silentSince(): number | undefined {
    return this.#session === undefined ? this.#idleSince : undefined
  }

  /** When the client last did what it had to do, if it owes something: took bytes, answered a response. */
  get stuckSince(): number | undefined {
    let since = this.#queue.waitingSince
    for (const { unanswered, answersInTime } of this.deliveries) {
      const at = answersInTime ? unanswered.oldest?.at : undefined
      if (at !== undefined && (since === undefined || at < since)) since = at
    }
    return since
  }

  touched(delivery: Delivery, name: string, revision: Revision, record: RevisionRecord | undefined): void {
    const { fanOut, journal } = this.#context
    if (record === undefined) this.#catchUp()
    delivery.touch(name, revision)
    if (record === undefined) fanOut.touch(this)
    else fanOut.queue(this)
    if (this.#mark === undefined) return
    if (record === undefined) journal.touch(this.#mark, delivery.typeUrl, name)
    else journal.touchLater(this.#mark, record)
  }

  hold({ typeUrl }: Delivery, name: string, count: number): RevisionRecord {
    const { fanOut: later, journal } = this.#context
    return journal.hold({ typeUrl, name, count, later })
  }

  /** Undefined until the first message. It knows of every change: nobody sees that others were told of one before. */
  get #session(): Session<Request> | undefined {
    this.#catchUp()
    return this.#opened
  }

  #catchUp(): void {
    const { announcing, lastAnnouncement } = this.#context.fanOut
    if (!announcing || this.#toldOf === lastAnnouncement) return
    this.#toldOf = lastAnnouncement
    this.#types.catchUp()
  }

  #receive(message: Request | MalformedRequest): void {
    if (this.#closed) return
    this.#heardAt = this.#context.clock.now()
    try {
      if ('malformed' in message) throw malformedError(message)
      this.#request(message)
    } catch (error) {
      this.#refuse(error)
    }
  }

  #request(message: Request): void {
    const session = this.#session ?? this.#open(message)
    const typed = typedRequest(message, this.typeUrl)
    const now = this.#context.clock.monotonic()
    const asked = session.deliveries.find(({ typeUrl }) => typeUrl === typed.typeUrl)
    const sentAt = asked?.unanswered.find(typed.nonce)?.at
    const { delivery, actions, answer } = session.request(typed, now)
    const subscriber = this.#types.index(delivery, actions)
    if (answer !== undefined) {
      const waitedMs = sentAt === undefined ? undefined : now - sentAt
      this.#context.log.answered(this, delivery.typeUrl, answer, waitedMs)
      const refusal = typeof answer === 'object' ? { refusal: answer.message } : {}
      if (answer !== 'stale') {
        subscriber.answered({ stream: this.id, nonce: typed.nonce, ...refusal }, this.#heardAt)
      }
    }
    this.flush()
  }

  #open({ node }: Request): Session<Request> {
    if (node === undefined || node.id === '') {
      throw new SessionError(3, 'the first message of a stream must have a node with an id')
    }
    const { source, limits, timings } = this.#context
    const aggregated = this.typeUrl === undefined
    const view = source.open(node, { ...peerOf(this.#call), stream: { form: this.form, aggregated } })
    view.onRefused?.(error => {
      this.#refuse(error)
    })
    this.#view = view
    this.#context.onNamed(this, node.id)
    this.#node = node
    const session = this.#form.open({
      setOf: typeUrl => view.set(typeUrl),
      revision: () => source.revision(),
      limits: limitsFor(node.agent, limits),
      timings,
      aggregated,
    })
    this.#opened = session
    this.#mark = new StreamMark({ node: node.id, deliveries: () => this.deliveries })
    return session
  }

  #trace({ typeUrl, version, resources, removed }: Batch, nonce: string): void {
    this.#types.sent({
      stream: this.id,
      node: this.#node?.id ?? '',
      typeUrl,
      nonce,
      version: version ?? (resources.length === 1 ? (resources[0]?.version ?? '') : ''),
      resources,
      removed,
    })
  }

  #schedule(session: Session<Request>, now: number): void {
    this.#timer?.cancel()
    const { wakeAt } = session
    if (wakeAt === undefined) return
    // Now, since its timer has just been cancelled; once, since it stays due while the transport takes nothing.
    if (wakeAt <= now && !this.#waking) this.#wake(session)
    else
      this.#timer = this.#context.clock.timer(Math.max(1, wakeAt - now), () => {
        this.#wake(session)
      })
  }

  #wake(session: Session<Request>): void {
    if (this.#closed) return
    this.#waking = true
    const now = this.#context.clock.monotonic()
    const refusal = session.unstick(now)
    if (refusal !== undefined) this.#context.log.answered(this, clusterType, refusal)
    const delivery = session.assumeClusters(now)
    if (delivery !== undefined) this.#types.startWildcard(delivery)
    this.flush()
    this.#waking = false
  }

  #refuse(error: unknown): void {
    const { status, message } = this.#context.log.refused(this, error)
    this.close(status, message)
  }

  #dispose(): void {
    if (this.#closed) return
    this.#closed = true
    this.#timer?.cancel()
    this.#mark?.end()
    this.#queue.close()
    this.#context.fanOut.forget(this)
    this.#types.leave()
    this.#view?.close()
    this.#context.onEnd(this)
  }
}
