import type { Batch } from '../subscription/batch.ts'
import type { DeltaRequest } from '../subscription/xds-request.ts'
import { DeltaSession } from '../subscription/delta-session.ts'
import type { RequestOutcome, SessionLimits } from '../subscription/session.ts'
import { SharedState } from '../subscription/shared-state.ts'
import { testNode } from './test-node.ts'
import type { Delivery } from '../subscription/delivery.ts'
import { MemorySource, type MemoryChange } from '../memory-source.ts'

/** A batch as a test reads it. */
export interface SentBatch {
  readonly typeUrl: string
  /** `name=body` of each resource. */
  readonly resources: string[]
  readonly removed: string[]
  readonly nonce: string
}

/**
 * A session over a memory source without a transport: what it would write comes back at once, and time moves
 * when the test says so.
 */
export class SessionFixture {
  readonly source: MemorySource
  readonly session: DeltaSession
  now = 0
  #nonce = 0
  readonly #watched = new Set<Delivery>()

  constructor(options: { source?: MemorySource; limits?: Partial<SessionLimits> } = {}) {
    this.source = options.source ?? new MemorySource()
    const view = this.source.open(testNode())
    this.session = new DeltaSession({
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
      shared: new SharedState({ smallest: 1 }),
      aggregated: true,
    })
  }

  /** Takes a request, without sending anything. */
  request(typeUrl: string, fields: Partial<DeltaRequest> = {}): RequestOutcome {
    const message = {
      node: undefined,
      typeUrl,
      subscribe: [],
      unsubscribe: [],
      initialVersions: new Map<string, string>(),
      nonce: '',
      error: undefined,
      ...fields,
    }
    const outcome = this.session.request(message, this.now)
    this.#watch(outcome.delivery)
    return outcome
  }

  #watch(delivery: Delivery): void {
    if (this.#watched.has(delivery)) return
    this.#watched.add(delivery)
    delivery.set.watch(({ names, revision }) => {
      const { wildcard, names: subscribed } = delivery.subscription
      for (const name of names) if (wildcard || subscribed.has(name)) delivery.touch(name, revision)
    })
  }

  /** Takes a request; returns what is sent now. */
  ask(typeUrl: string, fields: Partial<DeltaRequest> = {}): SentBatch[] {
    this.request(typeUrl, fields)
    return this.flush()
  }

  ack({ typeUrl, nonce }: SentBatch): SentBatch[] {
    return this.ask(typeUrl, { nonce })
  }

  nack({ typeUrl, nonce }: SentBatch, error = 'refused'): SentBatch[] {
    return this.ask(typeUrl, { nonce, error })
  }

  /** ACKs these and what they lead to, until nothing more is sent; returns all that was sent. */
  ackAll(batches: SentBatch[]): SentBatch[] {
    const sent = [...batches]
    for (const batch of sent) sent.push(...this.ack(batch))
    return sent
  }

  /** Changes resources; returns what is sent now. */
  change(change: MemoryChange): SentBatch[] {
    this.source.apply(change)
    return this.flush()
  }

  /** Lets time pass; returns what is sent then. */
  wait(ms: number): SentBatch[] {
    this.now += ms
    this.session.unstick(this.now)
    this.session.assumeClusters(this.now)
    return this.flush()
  }

  flush(): SentBatch[] {
    const sent: SentBatch[] = []
    for (let batch = this.session.next(this.now); batch !== undefined; batch = this.session.next(this.now)) {
      this.#nonce += 1
      const nonce = `n${this.#nonce}`
      this.session.sent(batch, nonce, this.now)
      sent.push({ ...describe(batch), nonce })
    }
    return sent
  }
}

const describe = ({ typeUrl, resources, removed }: Batch): Omit<SentBatch, 'nonce'> => ({
  typeUrl,
  resources: resources.map(
    ({ name, body }) => `${name}=${body === null ? 'none' : Buffer.from(body).toString()}`,
  ),
  removed: [...removed].sort(),
})
