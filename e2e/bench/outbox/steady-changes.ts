import { setTimeout as delay } from 'node:timers/promises'

export interface SteadyChangesOptions {
  /** Of the REST listener. */
  readonly url: string
  readonly perSecond: number
}

const everyMs = 10
const instances = 2_000
/** A replica takes four such requests at a time. */
const mostRequests = 3

/** Changes of 2,000 instances at a steady rate, a few in each request, so that the load costs little itself. */
export class SteadyChanges {
  readonly #options: SteadyChangesOptions
  #sent = 0

  constructor(options: SteadyChangesOptions) {
    this.#options = options
  }

  /** Resolves with the number of changes when all are answered. Rejects when one is not. */
  async run(ms: number): Promise<number> {
    const { url, perSecond } = this.#options
    const before = this.#sent
    const requests = new Set<Promise<void>>()
    const started = performance.now()
    const due = (): number => Math.floor((Math.min(ms, performance.now() - started) * perSecond) / 1_000)
    for (let sent = 0; performance.now() - started < ms || sent < due();) {
      await delay(everyMs)
      if (requests.size >= mostRequests) await Promise.race(requests)
      const count = due() - sent
      if (count === 0) continue
      sent += count
      const request = this.#send(`${url}/api/v1/instances:batch`, count).finally(() =>
        requests.delete(request),
      )
      requests.add(request)
    }
    await Promise.all(requests)
    return this.#sent - before
  }

  async #send(url: string, count: number): Promise<void> {
    const lines = Array.from({ length: count }, () => {
      this.#sent += 1
      const index = this.#sent % instances
      // A port that is another one each time round makes each registration a change.
      const port = 1 + (Math.floor(this.#sent / instances) % 60_000)
      return JSON.stringify({
        service: `steady-${index % 50}`,
        id: `s-${index}`,
        address: '10.0.0.1',
        port,
        lease: null,
      })
    })
    const answer = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/x-ndjson' },
      body: `${lines.join('\n')}\n`,
    })
    const text = await answer.text()
    if (!answer.ok || /"status":[45]/.test(text))
      throw new Error(`a change was refused: ${text.slice(0, 300)}`)
  }
}
