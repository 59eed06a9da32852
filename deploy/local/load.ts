import { Agent, request } from 'node:http'
import { text } from 'node:stream/consumers'

export interface LoadOptions {
  /** Asked in turn. */
  readonly targets: readonly URL[]
  readonly perSecond: number
  readonly headers?: Readonly<Record<string, string>>
  readonly timeoutMs?: number
  /** Requests that may wait for an answer; beyond it none is sent and `skipped` counts. */
  readonly maxWaiting?: number
}

export interface LoadCounts {
  readonly sent: number
  readonly ok: number
  readonly failed: number
  /** Not sent, because too many waited for an answer. */
  readonly skipped: number
  /** Answers by instance that took part in them. */
  readonly byInstance: ReadonlyMap<string, number>
  /** What went wrong, and how often; at most twenty different reasons. */
  readonly failures: ReadonlyMap<string, number>
}

interface Answer {
  readonly path?: readonly { readonly instance?: string }[]
}

const maxReasons = 20

/** The difference of two counts, the earlier one given second. */
export const countsSince = (now: LoadCounts, before: LoadCounts): LoadCounts => {
  const less = (a: ReadonlyMap<string, number>, b: ReadonlyMap<string, number>): Map<string, number> =>
    new Map(
      [...a]
        .map(([key, count]): [string, number] => [key, count - (b.get(key) ?? 0)])
        .filter(([, count]) => count > 0),
    )
  return {
    sent: now.sent - before.sent,
    ok: now.ok - before.ok,
    failed: now.failed - before.failed,
    skipped: now.skipped - before.skipped,
    byInstance: less(now.byInstance, before.byInstance),
    failures: less(now.failures, before.failures),
  }
}

/** Sends requests to sample services at a steady rate and counts who answered. */
export class Load {
  readonly #options: LoadOptions
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 64 })
  readonly #byInstance = new Map<string, number>()
  readonly #failures = new Map<string, number>()
  readonly #waiting = new Set<Promise<void>>()
  #sent = 0
  #ok = 0
  #failed = 0
  #skipped = 0
  #timer: NodeJS.Timeout | null = null

  constructor(options: LoadOptions) {
    this.#options = options
  }

  get counts(): LoadCounts {
    return {
      sent: this.#sent,
      ok: this.#ok,
      failed: this.#failed,
      skipped: this.#skipped,
      byInstance: new Map(this.#byInstance),
      failures: new Map(this.#failures),
    }
  }

  /** To be called once. */
  start(): void {
    if (this.#timer !== null) return
    const began = performance.now()
    let due = 0
    this.#timer = setInterval(() => {
      const wanted = Math.floor(((performance.now() - began) / 1_000) * this.#options.perSecond)
      // After a pause of this process the lost time is not made up for.
      due = Math.max(due, wanted - this.#options.perSecond)
      for (; due < wanted; due += 1) this.#fire()
    }, 10)
  }

  /** Resolves when every answer is in. */
  async stop(): Promise<LoadCounts> {
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#timer = null
    await Promise.all(this.#waiting)
    this.#agent.destroy()
    return this.counts
  }

  #fire(): void {
    const { targets, maxWaiting = 256 } = this.#options
    const target = targets[this.#sent % targets.length]
    if (target === undefined || this.#waiting.size >= maxWaiting) {
      this.#skipped += 1
      return
    }
    this.#sent += 1
    const done = this.#one(target).then(
      answer => {
        this.#ok += 1
        for (const { instance } of answer.path ?? [])
          if (instance !== undefined)
            this.#byInstance.set(instance, (this.#byInstance.get(instance) ?? 0) + 1)
      },
      (error: unknown) => {
        this.#failed += 1
        this.#note(error instanceof Error ? error.message : 'no reason')
      },
    )
    this.#waiting.add(done)
    void done.finally(() => this.#waiting.delete(done))
  }

  #note(reason: string): void {
    const known = this.#failures.has(reason) || this.#failures.size < maxReasons
    const key = known ? reason : 'other reasons'
    this.#failures.set(key, (this.#failures.get(key) ?? 0) + 1)
  }

  async #one(target: URL): Promise<Answer> {
    const { headers = {}, timeoutMs = 20_000 } = this.#options
    const { status, body } = await new Promise<{ status: number; body: string }>((resolve, reject) => {
      const outgoing = request(target, { agent: this.#agent, headers, timeout: timeoutMs })
      outgoing.once('error', reject)
      outgoing.once('timeout', () => outgoing.destroy(new Error('no answer in time')))
      outgoing.once('response', response => {
        text(response).then(body => {
          resolve({ status: response.statusCode ?? 0, body })
        }, reject)
      })
      outgoing.end()
    })
    if (status !== 200) throw new Error(`${status} ${body.trim().slice(0, 200)}`)
    return JSON.parse(body) as Answer
  }
}
