import { MemorySource, type MemoryChange } from '../memory-source.ts'
import type { Batch } from '../subscription/batch.ts'
import type { Delivery } from '../subscription/delivery.ts'
import type { RequestOutcome, Session, SessionLimits, SessionOptions } from '../subscription/session.ts'
import type { XdsRequest } from '../subscription/xds-request.ts'
import { testNode } from './test-node.ts'

export interface StreamFixtureOptions {
  readonly source?: MemorySource
  readonly limits?: Partial<SessionLimits>
  readonly aggregated?: boolean
}

/** What differs between the forms of the protocol. */
export interface StreamForm<Request extends XdsRequest, Sent> {
  readonly open: (options: SessionOptions) => Session<Request>
  /** What a request has whose fields the test does not name. */
  readonly defaults: Omit<Request, 'typeUrl'>
  /** A response as a test reads it. */
  readonly describe: (batch: Batch, nonce: string) => Sent
}

/**
 * A session over a memory source without a transport: what it would write comes back at once, and time moves
 * when the test says so.
 */
export class StreamFixture<Request extends XdsRequest, Sent> {
  readonly source: MemorySource
  readonly session: Session<Request>
  now = 0
  readonly #form: StreamForm<Request, Sent>
  readonly #watched = new Set<Delivery>()
  #nonce = 0

  constructor(form: StreamForm<Request, Sent>, options: StreamFixtureOptions = {}) {
    this.#form = form
    this.source = options.source ?? new MemorySource()
    const view = this.source.open(testNode())
    this.session = form.open({
      setOf: typeUrl => view.set(typeUrl),
      revision: () => this.source.revision(),
      limits: {
        maxNames: 1000,
        maxTypes: 8,
        maxResponseBytes: 1_000_000,
        maxFirstResponseBytes: 1_000_000,
        ...options.limits,
      },
      timings: { clusterAnswerMs: 100, clusterStuckMs: 16_000, orderMs: 20_000 },
      aggregated: options.aggregated ?? true,
    })
  }

  /** Takes a request, without sending anything. */
  request(typeUrl: string, fields: Partial<Request> = {}): RequestOutcome {
    const message = { ...this.#form.defaults, typeUrl, ...fields } as Request
    const outcome = this.session.request(message, this.now)
    this.#watch(outcome.delivery)
    return outcome
  }

  /** Takes a request; returns what is sent now. */
  ask(typeUrl: string, fields: Partial<Request> = {}): Sent[] {
    this.request(typeUrl, fields)
    return this.flush()
  }

  /** Changes resources; returns what is sent now. */
  change(change: MemoryChange): Sent[] {
    this.source.apply(change)
    return this.flush()
  }

  /** Lets time pass; returns what is sent then. */
  wait(ms: number): Sent[] {
    this.now += ms
    this.session.unstick(this.now)
    this.session.assumeClusters(this.now)
    return this.flush()
  }

  flush(): Sent[] {
    const sent: Sent[] = []
    for (let batch = this.session.next(this.now); batch !== undefined; batch = this.session.next(this.now)) {
      this.#nonce += 1
      const nonce = `n${this.#nonce}`
      this.session.sent(batch, nonce, this.now)
      sent.push(this.#form.describe(batch, nonce))
    }
    return sent
  }

  /** As the stream of a server does it. */
  #watch(delivery: Delivery): void {
    if (this.#watched.has(delivery)) return
    this.#watched.add(delivery)
    delivery.set.watch(({ names, revision }) => {
      const { wildcard, names: subscribed } = delivery.subscription
      for (const name of names) if (wildcard || subscribed.has(name)) delivery.touch(name, revision)
    })
  }
}
