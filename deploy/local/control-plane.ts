import { fileURLToPath } from 'node:url'
import { hostPort } from '@waymark/sidecar-config/model/host-port.ts'
import { controlPlaneEnv, controlPlaneFlags } from './control-plane-node.ts'
import type { Listen } from './ports.ts'
import type { ManagedProcess, StopOptions, Supervisor } from './processes.ts'
import { UserError } from './user-error.ts'
import { waitFor, WaitTimeoutError } from './wait.ts'

export interface ControlPlaneOptions {
  readonly supervisor: Supervisor
  /** Names the process and its log; two replicas need two names. */
  readonly name?: string
  readonly databaseUrl: string
  readonly http: Listen
  readonly xds: Listen
  readonly dataDir: string
  /** Path of the program; absent: the sources. */
  readonly program?: string
  /** More of its environment: `OTEL_*`, `WAYMARK_SINKS`. */
  readonly env?: NodeJS.ProcessEnv
  readonly signal?: AbortSignal | undefined
}

const main = fileURLToPath(import.meta.resolve('@waymark/control-plane/main.ts'))

/** A replica may be reached at any address; this host reaches it on loopback. */
const reachable = ({ host, port }: Listen): Listen => ({
  host: host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host,
  port,
})

/** One replica as a process of its own. It can be started again after it has ended, on the same ports. */
export class ControlPlane {
  readonly name: string
  /** `http://127.0.0.1:7400` */
  readonly url: string
  readonly xds: Listen
  readonly #options: ControlPlaneOptions
  #process: ManagedProcess | null = null

  constructor(options: ControlPlaneOptions) {
    this.#options = options
    this.name = options.name ?? 'control-plane'
    this.url = `http://${hostPort(reachable(options.http))}`
    this.xds = reachable(options.xds)
  }

  get pid(): number | null {
    return this.#process?.running === true ? this.#process.pid : null
  }

  /** Resolves when it is ready: migrated, mesh state loaded. Rejects with its last words when it ends instead. */
  async start({ timeoutMs = 30_000 } = {}): Promise<void> {
    const { supervisor, databaseUrl, http, xds, dataDir, program = main, env = {}, signal } = this.#options
    const started = supervisor.start({
      name: this.name,
      group: 'control-plane',
      command: process.execPath,
      args: [...controlPlaneFlags, program],
      env: {
        ...controlPlaneEnv,
        ...process.env,
        ...env,
        DATABASE_URL: databaseUrl,
        WAYMARK_HTTP_LISTEN: hostPort(http),
        WAYMARK_XDS_LISTEN: hostPort(xds),
        WAYMARK_DATA_DIR: dataDir,
      },
    })
    this.#process = started
    try {
      await waitFor(async () => (await this.ask('/readyz')).ok, {
        what: `${this.name} to be ready`,
        timeoutMs,
        failed: started.failed,
        signal,
      })
    } catch (error) {
      if (!(error instanceof WaitTimeoutError)) throw error
      const last = started.log.tail.slice(-3).join('\n    ')
      throw new UserError(`${error.message} Its last words:\n    ${last}`, [
        `Its log is ${started.log.path}.`,
      ])
    }
  }

  /** One request to its REST interface; `path` from the root. Rejects when it does not answer. */
  ask(path: string, init: RequestInit = {}): Promise<Response> {
    return fetch(new URL(path, this.url), { signal: AbortSignal.timeout(5_000), redirect: 'error', ...init })
  }

  /** The JSON of a GET that succeeds; rejects otherwise. */
  async read<T>(path: string): Promise<T> {
    const response = await this.ask(path)
    if (!response.ok) throw new Error(`${path} was answered with ${response.status}`)
    return (await response.json()) as T
  }

  async stop(options?: StopOptions): Promise<void> {
    await this.#process?.stop(options)
  }

  async kill(): Promise<void> {
    await this.#process?.kill()
  }
}
