import { setTimeout as delay } from 'node:timers/promises'
import { systemClock, type Clock } from '../../runtime/clock.ts'
import { silentLogger, type Logger } from '../../runtime/logger.ts'
import { MemorySource, type MemoryResource } from '../memory-source.ts'
import type { XdsSource } from '../port.ts'
import type { ExtraService } from '../transport/extra-service.ts'
import type { ReloadedTls } from '../transport/tls-material.ts'
import type { ListenAddress } from '../transport/xds-listener.ts'
import type { XdsLimits, XdsTimings } from '../xds-options.ts'
import { XdsServer } from '../xds-server.ts'
import { DeltaClient, type ClientAccess } from './delta-client.ts'

export interface FixtureOptions {
  readonly source?: MemorySource
  readonly logger?: Logger
  readonly clock?: Clock
  readonly listen?: ListenAddress
  readonly limits?: Partial<XdsLimits>
  readonly timings?: Partial<XdsTimings>
  readonly heartbeats?: boolean
  readonly services?: readonly ExtraService[]
  readonly tls?: ReloadedTls
  /** Puts something between the source and the server. */
  readonly guard?: (source: MemorySource) => XdsSource
}

/** A running server on a free port over a memory source, with clients that are closed together with it. */
export class ServerFixture implements AsyncDisposable {
  readonly source: MemorySource
  readonly server: XdsServer
  readonly address: ListenAddress
  readonly #stop = new AbortController()
  readonly #running: Promise<void>
  readonly #clients: DeltaClient[] = []

  static async start(options: FixtureOptions = {}): Promise<ServerFixture> {
    const source = options.source ?? new MemorySource()
    const server = new XdsServer({
      source: options.guard?.(source) ?? source,
      clock: options.clock ?? systemClock,
      logger: options.logger ?? silentLogger,
      listen: options.listen ?? { host: '127.0.0.1', port: 0 },
      ...(options.limits === undefined ? {} : { limits: options.limits }),
      timings: { stopMs: 200, ...options.timings },
      heartbeats: options.heartbeats ?? false,
      ...(options.services === undefined ? {} : { services: options.services }),
      ...(options.tls === undefined ? {} : { tls: options.tls }),
    })
    return new ServerFixture(source, server, await server.listen())
  }

  private constructor(source: MemorySource, server: XdsServer, address: ListenAddress) {
    this.source = source
    this.server = server
    this.address = address
    this.#running = server.start(this.#stop.signal)
  }

  connect(node: string | undefined = 'web/1', access?: ClientAccess): DeltaClient {
    const client = new DeltaClient(this.address, node, access)
    this.#clients.push(client)
    return client
  }

  put(...resources: MemoryResource[]): void {
    this.source.apply({ put: resources })
  }

  /** Waits until `holds` is true; a test that waits in vain fails by its own timeout. */
  async until(holds: () => boolean): Promise<void> {
    while (!holds()) await delay(2)
  }

  async stop(): Promise<void> {
    this.#stop.abort()
    await this.#running
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients) client.close()
    await this.stop()
  }
}

/** A resource whose bytes are just this text: enough for everything but a real Envoy. */
export const resource = (
  typeUrl: string,
  name: string,
  text = '1',
  dependsOn?: MemoryResource['dependsOn'],
): MemoryResource => ({
  typeUrl,
  name,
  body: Buffer.from(text),
  ...(dependsOn === undefined ? {} : { dependsOn }),
})
