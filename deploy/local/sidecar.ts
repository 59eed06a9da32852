import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { buildBootstrap } from '@waymark/sidecar-config/bootstrap/bootstrap.ts'
import { EnvoyAdmin } from './envoy-admin.ts'
import type { Listen } from './ports.ts'
import type { ManagedProcess, Supervisor } from './processes.ts'
import { waitFor } from './wait.ts'

export interface SidecarPorts {
  readonly outbound: number
  readonly inbound: number
  readonly admin: number
}

export interface SidecarOptions {
  readonly supervisor: Supervisor
  /** The Envoy program. */
  readonly envoy: string
  readonly service: string
  readonly instance: string
  readonly locality?: { readonly region: string; readonly zone: string }
  readonly ports: SidecarPorts
  /** xDS of each replica. */
  readonly controlPlane: readonly Listen[]
  /** It gets services when the instance first calls them. Default: all at once. */
  readonly onDemand?: boolean
  /** Where its bootstrap file is written. */
  readonly configDir: string
  /** More of Envoy's own flags, such as `['--log-level', 'debug']`. */
  readonly flags?: readonly string[]
}

/** One Envoy as the sidecar of one instance. It can be started again after it has ended. */
export class Sidecar {
  readonly name: string
  readonly admin: EnvoyAdmin
  readonly #options: SidecarOptions
  #process: ManagedProcess | null = null

  constructor(options: SidecarOptions) {
    this.#options = options
    this.name = `${options.instance}-envoy`
    this.admin = new EnvoyAdmin(options.ports.admin)
  }

  get ports(): SidecarPorts {
    return this.#options.ports
  }

  /** Its node id in xDS. */
  get node(): string {
    return `${this.#options.service}/${this.#options.instance}`
  }

  get pid(): number | null {
    return this.#process?.running === true ? this.#process.pid : null
  }

  /** Returns at once; `waitUntilReady` waits. */
  start(): void {
    const { supervisor, envoy, service, instance, ports, controlPlane, configDir } = this.#options
    const bootstrap = buildBootstrap({
      service,
      instance,
      locality: this.#options.locality ?? { region: 'local', zone: 'local-a' },
      controlPlane,
      outboundPort: ports.outbound,
      inboundPort: ports.inbound,
      adminPort: ports.admin,
      onDemand: this.#options.onDemand ?? false,
    })
    mkdirSync(configDir, { recursive: true })
    const path = join(configDir, `${this.name}.json`)
    writeFileSync(path, JSON.stringify(bootstrap, null, 2))
    const flags = [
      '--concurrency',
      '1',
      '--disable-hot-restart',
      '--drain-time-s',
      '5',
      '--log-level',
      'warning',
    ]
    this.#process = supervisor.start({
      name: this.name,
      group: 'sidecars',
      command: envoy,
      args: ['-c', path, ...flags, ...(this.#options.flags ?? [])],
      env: { PATH: process.env['PATH'] },
    })
  }

  async waitUntilReady({
    timeoutMs = 20_000,
    signal,
  }: { timeoutMs?: number; signal?: AbortSignal | undefined } = {}): Promise<void> {
    await waitFor(() => this.admin.isReady(), {
      what: `the sidecar of ${this.node} to be ready`,
      timeoutMs,
      intervalMs: 50,
      failed: () => this.#process?.failed() ?? null,
      signal,
    })
  }

  /** Politely: open connections are closed after their request, what is in flight finishes, then it ends. */
  async drain({ timeoutMs = 6_000 } = {}): Promise<void> {
    if (this.pid === null) return
    try {
      await this.admin.ask('/healthcheck/fail', { method: 'POST' })
      await this.admin.ask('/drain_listeners?graceful&skip_exit', { method: 'POST' })
      await waitFor(
        async () => {
          const active = await this.admin.stats('^http\\.(inbound|outbound)\\.downstream_rq_active$')
          return [...active.values()].every(count => count === 0)
        },
        { what: `the requests of ${this.node} to finish`, timeoutMs },
      )
    } catch {
      // It has ended meanwhile, or something holds a request open: it ends now either way.
    }
    await this.stop()
  }

  /** At once; requests in flight are reset. */
  async stop(): Promise<void> {
    await this.#process?.stop({ graceMs: 2_000 })
  }

  async kill(): Promise<void> {
    await this.#process?.kill()
  }
}
