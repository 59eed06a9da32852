import { Agent, request } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import { Tally, type LoadReport } from './tally.ts'

export interface LoadOptions {
  /** The sidecar's outbound listener, or whatever else answers HTTP. */
  readonly port: number
  readonly host?: string
  /** The authority that is called: `orders`. */
  readonly authority: string
  readonly path?: string
  /**
   * Open loop: this many requests per second, whether or not earlier ones have been answered; fewer when many are
   * under way. Absent: closed loop, every client sends its next request when its last one was answered.
   */
  readonly perSecond?: number
  /** Clients of a closed loop; connections of an open one. */
  readonly clients: number
  readonly timeoutMs?: number
}

/**
 * Requests of an open loop that may be under way at once, for each connection. More would only wait for each other on a
 * machine that is too slow for so many, and be called failed in the end; what gets no answer is found out all the same.
 */
const mostUnderWay = 4
const tickMs = 5

/** HTTP load with keep-alive connections. It never retries: what a user would see is what it counts. */
export class Load {
  readonly #options: LoadOptions
  readonly #agent: Agent
  readonly #tallies = new Set<Tally>()
  readonly #all: Tally
  readonly #underWay = new Set<Promise<void>>()
  readonly #running: Promise<unknown>
  #stopped = false

  private constructor(options: LoadOptions) {
    this.#options = options
    this.#agent = new Agent({ keepAlive: true, maxSockets: options.clients })
    this.#all = this.window()
    const { clients, perSecond } = options
    this.#running =
      perSecond === undefined
        ? Promise.all(Array.from({ length: clients }, () => this.#closedLoop()))
        : this.#openLoop(perSecond)
  }

  static start(options: LoadOptions): Load {
    return new Load(options)
  }

  /** Counts the requests that are sent from now on. */
  window(): Tally {
    const tally = new Tally()
    this.#tallies.add(tally)
    return tally
  }

  /** What was counted until now. */
  report(): LoadReport {
    return this.#all.report()
  }

  /** Waits for the requests under way. */
  async stop(): Promise<LoadReport> {
    this.#stopped = true
    await this.#running
    await Promise.all(this.#underWay)
    this.#agent.destroy()
    return this.report()
  }

  async #closedLoop(): Promise<void> {
    while (!this.#stopped) await this.#send()
  }

  async #openLoop(perSecond: number): Promise<void> {
    const started = performance.now()
    const most = mostUnderWay * this.#options.clients
    for (let until = 0; !this.#stopped;) {
      const due = Math.floor(((performance.now() - started) / 1_000) * perSecond)
      for (let left = due - until; left > 0 && this.#underWay.size < most; left -= 1) this.#launch()
      until = due
      await delay(tickMs)
    }
  }

  #launch(): void {
    const sent = this.#send().finally(() => {
      this.#underWay.delete(sent)
    })
    this.#underWay.add(sent)
  }

  #send(): Promise<void> {
    const { port, host = '127.0.0.1', authority, path = '/', timeoutMs = 15_000 } = this.#options
    const watching = [...this.#tallies]
    const started = performance.now()
    return new Promise(resolve => {
      let settled = false
      const end = (count: (tally: Tally, ms: number) => void): void => {
        if (settled) return
        settled = true
        clearTimeout(timer)
        const ms = performance.now() - started
        for (const tally of watching) count(tally, ms)
        resolve()
      }
      const failWith = (error: Error & { readonly code?: string }): void => {
        end((tally, ms) => {
          tally.fail({ error: error.code ?? error.message, status: null, body: '' }, ms)
        })
      }
      const call = request(
        { host, port, path, agent: this.#agent, headers: { host: authority } },
        response => {
          let body = ''
          response.setEncoding('utf8')
          response.on('data', (chunk: string) => {
            if (body.length < 4_096) body += chunk
          })
          response.on('error', failWith)
          response.on('end', () => {
            const status = response.statusCode ?? 0
            const instance = response.headers['x-instance']
            end((tally, ms) => {
              if (status >= 200 && status < 300) tally.answer(status, String(instance ?? 'nobody'), ms)
              else tally.fail({ error: null, status, body }, ms)
            })
          })
        },
      )
      const timer = setTimeout(() => {
        failWith(Object.assign(new Error('no answer in time'), { code: 'timeout' }))
        call.destroy()
      }, timeoutMs)
      call.on('error', failWith)
      call.end()
    })
  }
}
