import { systemClock } from '@waymark/control-plane/runtime/clock.ts'
import { silentLogger } from '@waymark/control-plane/runtime/logger.ts'
import { MemorySource } from '@waymark/control-plane/xds/memory-source.ts'
import type { XdsCounters } from '@waymark/control-plane/xds/counters.ts'
import type { StreamStatus } from '@waymark/control-plane/xds/status/status.ts'
import { XdsServer } from '@waymark/control-plane/xds/xds-server.ts'

interface ControlServerOptions {
  readonly port: number
  /** Resources with a TTL are kept alive while the server runs. */
  readonly heartbeats?: boolean
}

/** An xDS server and its successors at one port, over one source that outlives them. */
export class ControlServer {
  readonly source = new MemorySource()
  readonly port: number
  readonly #heartbeats: boolean
  #server: XdsServer | undefined
  #abort = new AbortController()
  #ended: Promise<void> = Promise.resolve()

  constructor({ port, heartbeats = false }: ControlServerOptions) {
    this.port = port
    this.#heartbeats = heartbeats
  }

  async start(): Promise<void> {
    this.#abort = new AbortController()
    this.#server = new XdsServer({
      source: this.source,
      clock: systemClock,
      logger: silentLogger,
      listen: { host: '127.0.0.1', port: this.port },
      timings: { stopMs: 100 },
      heartbeats: this.#heartbeats,
    })
    await this.#server.listen()
    this.#ended = this.#server.start(this.#abort.signal)
  }

  async stop(): Promise<void> {
    this.#abort.abort()
    await this.#ended
  }

  /** Of its only client. */
  get status(): StreamStatus | undefined {
    return this.#server?.book.streams()[0]
  }

  /** Since its last start. */
  get counters(): XdsCounters {
    if (this.#server === undefined) throw new Error('the server has not been started')
    return this.#server.counters
  }
}
