import { MemorySource, type MemoryChange } from '../memory-source.ts'
import type { Batch } from '../subscription/batch.ts'
import type { Delivery } from '../subscription/delivery.ts'
import type { RequestOutcome } from '../subscription/session.ts'
import { SotwSession } from '../subscription/sotw-session.ts'
import type { SotwRequest } from '../subscription/xds-request.ts'
import { testNode } from './test-node.ts'

/** A state-of-the-world response as a test reads it. */
export interface SentState {
  readonly typeUrl: string
  /** `name=body` of each resource, in the order of names. */
  readonly resources: string[]
  readonly version: string
  readonly nonce: string
}

/** A state-of-the-world session over a memory source without a transport, as `SessionFixture` for delta. */
export class SotwFixture {
  readonly source: MemorySource
  readonly session: SotwSession
  now = 0
  readonly #watched = new Set<Delivery>()
  #nonce = 0

  constructor(options: { source?: MemorySource; aggregated?: boolean } = {}) {
    this.source = options.source ?? new MemorySource()
    const view = this.source.open(testNode())
    this.session = new SotwSession({
      setOf: typeUrl => view.set(typeUrl),
      revision: () => this.source.revision(),
      limits: { maxNames: 1000, maxTypes: 8, maxResponseBytes: 1_000_000, maxFirstResponseBytes: 1_000_000 },
      timings: { clusterAnswerMs: 100, clusterStuckMs: 16_000, orderMs: 20_000 },
      aggregated: options.aggregated ?? true,
    })
  }

  request(typeUrl: string, fields: Partial<SotwRequest> = {}): RequestOutcome {
    const message = {
      node: undefined,
      typeUrl,
      names: [],
      version: '',
      nonce: '',
      error: undefined,
      ...fields,
    }
    const outcome = this.session.request(message, this.now)
    this.#watch(outcome.delivery)
    return outcome
  }

  /** Takes a request; returns what is sent now. */
  ask(typeUrl: string, fields: Partial<SotwRequest> = {}): SentState[] {
    this.request(typeUrl, fields)
    return this.flush()
  }

  change(change: MemoryChange): SentState[] {
    this.source.apply(change)
    return this.flush()
  }

  wait(ms: number): SentState[] {
    this.now += ms
    this.session.unstick(this.now)
    this.session.assumeClusters(this.now)
    return this.flush()
  }

  flush(): SentState[] {
    const sent: SentState[] = []
    for (let batch = this.session.next(this.now); batch !== undefined; batch = this.session.next(this.now)) {
      this.#nonce += 1
      const nonce = `n${this.#nonce}`
      this.session.sent(batch, nonce, this.now)
      sent.push({ ...describe(batch), nonce })
    }
    return sent
  }

  #watch(delivery: Delivery): void {
    if (this.#watched.has(delivery)) return
    this.#watched.add(delivery)
    delivery.set.watch(({ names, revision }) => {
      const { wildcard, names: subscribed } = delivery.subscription
      for (const name of names) if (wildcard || subscribed.has(name)) delivery.touch(name, revision)
    })
  }
}

const describe = ({ typeUrl, resources, version = '' }: Batch): Omit<SentState, 'nonce'> => ({
  typeUrl,
  resources: resources.map(({ name, body }) => `${name}=${Buffer.from(body ?? []).toString()}`).sort(),
  version,
})
