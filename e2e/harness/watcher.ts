import { get, type IncomingMessage } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import type { ChangeSetView } from '@waymark/control-plane/rest/schemas/change.ts'

export interface WatcherOptions {
  /** REST of the replicas; after a lost connection the next one is asked. */
  readonly urls: readonly string[]
  /** Changes after this revision. */
  readonly after: number
}

/** A reader of `/watch` that resumes with Last-Event-ID, as a browser's EventSource does. */
export class Watcher {
  /** Every revision that came, in the order in which it came. */
  readonly sets: ChangeSetView[] = []
  /** Connections that were answered with a stream. */
  connections = 0
  readonly #options: WatcherOptions
  readonly #abort = new AbortController()
  readonly #running: Promise<void>
  #lastId: number

  constructor(options: WatcherOptions) {
    this.#options = options
    this.#lastId = options.after
    this.#running = this.#run()
  }

  get revisions(): readonly number[] {
    return this.sets.map(({ revision }) => revision)
  }

  async stop(): Promise<void> {
    this.#abort.abort()
    await this.#running
  }

  async #run(): Promise<void> {
    const { signal } = this.#abort
    for (let turn = 0; !signal.aborted; turn += 1) {
      const url = this.#options.urls[turn % this.#options.urls.length] ?? ''
      // A replica that is gone, or goes: the next one has the same log.
      await this.#read(url).catch(() => undefined)
      await delay(100, undefined, { signal }).catch(() => undefined)
    }
  }

  async #read(url: string): Promise<void> {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const headers = { 'last-event-id': String(this.#lastId) }
      const call = get(`${url}/api/v1/watch`, { headers, agent: false, signal: this.#abort.signal }, resolve)
      call.on('error', reject)
    })
    if (response.statusCode !== 200) {
      response.resume()
      throw new Error(`/watch answered ${response.statusCode ?? 0}`)
    }
    this.connections += 1
    let rest = ''
    for await (const chunk of response.setEncoding('utf8')) {
      const events = (rest + String(chunk)).split('\n\n')
      rest = events.pop() ?? ''
      for (const event of events) this.#take(event)
    }
  }

  /** A whole event; one that was cut off is never seen here. */
  #take(event: string): void {
    const fields = new Map(
      event
        .split('\n')
        .filter(line => !line.startsWith(':'))
        .map(line => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()]),
    )
    const id = fields.get('id')
    if (id !== undefined) this.#lastId = Number(id)
    const data = fields.get('data')
    if (fields.get('event') === 'change' && data !== undefined)
      this.sets.push(JSON.parse(data) as ChangeSetView)
  }
}
