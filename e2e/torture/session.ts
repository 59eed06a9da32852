import { randomFrom } from '../harness/random.ts'
import type { Operation } from './history.ts'
import { TortureClient, type Question } from './torture-client.ts'

export interface SessionOptions {
  readonly name: string
  readonly seed: number
  /** REST of the replicas. */
  readonly urls: readonly string[]
  /** True: it asks one replica only, and never says what it has seen. */
  readonly pinned: boolean
  readonly record: (operation: Operation) => void
}

/** Few, so that clients get in each other's way. */
const services: readonly string[] = ['alpha', 'beta', 'gamma']

/** What a client does in one go: its wishes come from its seed alone, before it is told anything. */
export interface Turn {
  /** Also the actor of its requests. */
  readonly id: string
  /** Of the replica that it asks. */
  readonly url: string
  readonly patienceMs: number
  readonly service: string
}

/** One client: what it has been told so far, and the chance that its seed gives it. */
export class Session {
  readonly name: string
  readonly pinned: boolean
  readonly record: (operation: Operation) => void
  readonly random: () => number
  /** The greatest revision that it has been told. */
  seen = 0
  readonly #urls: readonly string[]
  readonly #home: string
  readonly #client = new TortureClient()
  #turns = 0

  constructor({ name, seed, urls, pinned, record }: SessionOptions) {
    this.name = name
    this.pinned = pinned
    this.record = record
    this.random = randomFrom(seed)
    this.#urls = urls
    this.#home = this.pick(urls)
  }

  pick<T>(list: readonly T[]): T {
    return list[Math.floor(this.random() * list.length)] as T
  }

  pickService(): string {
    return this.pick(services)
  }

  turn(): Turn {
    const id = `${this.name}-${this.#turns}`
    this.#turns += 1
    const hangsUp = this.random() < 0.03
    return {
      id,
      service: this.pickService(),
      patienceMs: hangsUp ? 1 + Math.round(this.random() * 10) : 5_000,
      url: this.pinned ? this.#home : this.pick(this.#urls),
    }
  }

  /** `common`: what is recorded of any operation; `failed`: the replica has not done it, or nobody knows. */
  async ask({ id, url, patienceMs }: Turn, question: Omit<Question, 'actor' | 'patienceMs'>) {
    const invokedAt = performance.now()
    const answer = await this.#client.ask(url, { ...question, actor: id, patienceMs })
    const completedAt = performance.now()
    const [status, revision] = [answer?.status ?? null, answer?.revision ?? null]
    if (answer !== null && answer.status < 500) this.seen = Math.max(this.seen, revision ?? 0)
    const common = { id, client: this.name, invokedAt, completedAt, status, revision }
    const failed = status === null || status >= 500
    return { common, body: answer?.body ?? null, etag: answer?.etag ?? null, failed }
  }

  close(): void {
    this.#client.close()
  }
}
