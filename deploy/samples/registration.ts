import { setTimeout as delay } from 'node:timers/promises'
import type { Settings } from './settings.ts'

export interface RegistrationOptions {
  readonly settings: Settings
  readonly log: (text: string) => void
  /** 0 to 1, exclusive; spreads the retries of many instances. */
  readonly random?: () => number
}

/** What the registry said: a status, and the number of this registration where it gave one. */
interface Answer {
  readonly status: number
  readonly incarnation: number | null
}

const requestTimeoutMs = 3_000
const longestBackoffMs = 2_000

const bodyOf = (settings: Settings): object => ({
  address: settings.address,
  port: settings.listen.port,
  ...(settings.version === null ? {} : { version: settings.version }),
  ...(settings.locality === null ? {} : { locality: settings.locality }),
  lease: { ttl: `${settings.leaseTtlMs}ms`, deregisterAfter: '60s' },
  checks: [
    {
      kind: 'http',
      path: '/healthz',
      interval: '1s',
      timeout: '500ms',
      healthyThreshold: 1,
      unhealthyThreshold: 2,
    },
  ],
  ...(settings.sidecarPort === null ? {} : { sidecar: { port: settings.sidecarPort } }),
})

/**
 * Keeps one instance registered: registers, beats three times per TTL, and registers again when the registry
 * does not know it any more. While no replica of the control plane answers it tries them in turn, with backoff
 * and jitter; the instance keeps serving all the while.
 */
export class Registration {
  readonly #settings: Settings
  readonly #log: (text: string) => void
  readonly #random: () => number
  #incarnation: number | null = null
  #replica = 0
  #failures = 0

  constructor({ settings, log, random = Math.random }: RegistrationOptions) {
    this.#settings = settings
    this.#log = log
    this.#random = random
  }

  /** Resolves when `signal` aborts, or when a newer process has registered under the same id. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const next = await this.step()
      if (next === null) return
      await delay(next, undefined, { signal }).catch(() => undefined)
    }
  }

  /** One request; returns how many ms to wait until the next, or null when this process has been replaced. */
  async step(): Promise<number | null> {
    const known = this.#incarnation
    try {
      const answer =
        known === null
          ? await this.#send('PUT', '', bodyOf(this.#settings))
          : await this.#send('PUT', '/heartbeat', { incarnation: known })
      if (answer.status === 409) {
        this.#log('a newer process has registered under this id: this one beats no more')
        return null
      }
      if (answer.status === 404 && known !== null) {
        this.#log('the registry does not know this instance any more: registering again')
        this.#incarnation = null
        return 0
      }
      if (answer.status >= 300) throw new Error(`the registry answered ${answer.status}`)
      if (known === null) {
        this.#incarnation = answer.incarnation
        this.#log(`registered as ${this.#settings.service}/${this.#settings.instance}`)
      }
      this.#failures = 0
      return this.#settings.leaseTtlMs / 3
    } catch (error) {
      return this.#retryAfter(error)
    }
  }

  /** Takes the instance out, first draining for `drainMs`. False when no replica could be told. */
  async deregister(drainMs: number): Promise<boolean> {
    if (this.#incarnation === null) return false
    const query = `?incarnation=${this.#incarnation}${drainMs > 0 ? `&drain=${drainMs}ms` : ''}`
    for (const _replica of this.#settings.controlPlane) {
      try {
        const { status } = await this.#send('DELETE', query)
        return status < 300 || status === 404
      } catch {
        this.#replica += 1
      }
    }
    return false
  }

  #retryAfter(error: unknown): number {
    if (this.#failures === 0)
      this.#log(`the control plane does not answer (${error instanceof Error ? error.message : 'no reason'})`)
    this.#failures += 1
    this.#replica += 1
    const ceiling = Math.min(longestBackoffMs, 100 * 2 ** Math.min(this.#failures, 10))
    return Math.max(10, this.#random() * ceiling)
  }

  async #send(method: string, suffix: string, body?: object): Promise<Answer> {
    const { controlPlane, service, instance } = this.#settings
    const base = controlPlane[this.#replica % controlPlane.length]
    const url = new URL(`/api/v1/services/${service}/instances/${instance}${suffix}`, base)
    const response = await fetch(url, {
      method,
      signal: AbortSignal.timeout(requestTimeoutMs),
      redirect: 'error',
      ...(body === undefined
        ? {}
        : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
    })
    const text = await response.text()
    const answer: unknown = response.ok && text !== '' ? JSON.parse(text) : null
    const incarnation =
      typeof answer === 'object' && answer !== null && 'incarnation' in answer ? answer.incarnation : null
    return { status: response.status, incarnation: typeof incarnation === 'number' ? incarnation : null }
  }
}
