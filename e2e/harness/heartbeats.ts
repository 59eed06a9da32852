import { setTimeout as delay } from 'node:timers/promises'
import type { Api } from './api.ts'

export interface HeartbeatOptions {
  /** The REST interfaces of the replicas; one that does not answer is followed by the next. */
  readonly replicas: () => readonly Api[]
  readonly everyMs: number
}

/** One that stands still is followed by the next, too, before a lease of a few seconds is over. */
const patienceMs = 1_000

/** Beats for instances as their own processes would. */
export class Heartbeats {
  readonly #options: HeartbeatOptions
  readonly #instances = new Set<string>()
  readonly #abort = new AbortController()
  readonly #running: Promise<void>
  sent = 0
  refused = 0

  constructor(options: HeartbeatOptions) {
    this.#options = options
    this.#running = this.#run()
  }

  add(service: string, id: string): void {
    this.#instances.add(`/services/${service}/instances/${id}/heartbeat`)
  }

  remove(service: string, id: string): void {
    this.#instances.delete(`/services/${service}/instances/${id}/heartbeat`)
  }

  async stop(): Promise<void> {
    this.#abort.abort()
    await this.#running
  }

  async #run(): Promise<void> {
    const { signal } = this.#abort
    while (!signal.aborted) {
      await Promise.all([...this.#instances].map(path => this.#beat(path)))
      await delay(this.#options.everyMs, undefined, { signal }).catch(() => undefined)
    }
  }

  async #beat(path: string): Promise<void> {
    for (const replica of this.#options.replicas()) {
      const status = await replica.call('PUT', path, {}, patienceMs).then(
        answer => answer.status,
        () => null,
      )
      if (status === 204) {
        this.sent += 1
        return
      }
      if (status !== null) this.refused += 1
    }
  }
}
