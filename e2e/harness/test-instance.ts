import { request } from 'node:http'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import type { RegistrationBody } from '@waymark/control-plane/rest/schemas/registration.ts'
import type { Listen } from '@waymark/deploy/local/ports.ts'
import type { ManagedProcess, Supervisor } from '@waymark/deploy/local/processes.ts'
import { Sidecar, type SidecarPorts } from '@waymark/deploy/local/sidecar.ts'
import { waitFor } from '@waymark/deploy/local/wait.ts'
import { childEnv } from './child-env.ts'
import { Load, type LoadOptions } from './load.ts'

export interface InstancePorts extends SidecarPorts {
  readonly app: number
}

export interface TestInstanceOptions {
  readonly supervisor: Supervisor
  readonly envoy: string
  readonly service: string
  readonly id: string
  readonly ports: InstancePorts
  readonly controlPlane: readonly Listen[]
  readonly configDir: string
  /** Its sidecar gets services on demand. */
  readonly onDemand?: boolean
  /** False: callers reach the application directly. */
  readonly sidecar: boolean
}

export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: string
}

const program = fileURLToPath(import.meta.resolve('./test-app.ts'))

/** One instance: an application and its sidecar, each a process of its own. */
export class TestInstance {
  readonly service: string
  readonly id: string
  readonly ports: InstancePorts
  /** Throws when it has none. */
  readonly #sidecar: Sidecar | null
  readonly #options: TestInstanceOptions
  #app: ManagedProcess | null = null

  constructor(options: TestInstanceOptions) {
    const {
      supervisor,
      envoy,
      service,
      id,
      ports,
      controlPlane,
      configDir,
      sidecar,
      onDemand = false,
    } = options
    this.#options = options
    this.service = service
    this.id = id
    this.ports = ports
    this.#sidecar = sidecar
      ? new Sidecar({ supervisor, envoy, service, instance: id, ports, controlPlane, configDir, onDemand })
      : null
  }

  get node(): string {
    return `${this.service}/${this.id}`
  }

  get sidecar(): Sidecar {
    if (this.#sidecar === null) throw new Error(`${this.node} has no sidecar`)
    return this.#sidecar
  }

  /** What it says of itself when it registers. */
  get registration(): RegistrationBody {
    return {
      address: '127.0.0.1',
      port: this.ports.app,
      ...(this.#sidecar === null ? {} : { sidecar: { port: this.ports.inbound } }),
    }
  }

  async startApp(): Promise<void> {
    const config = {
      instance: this.id,
      host: '127.0.0.1',
      port: this.ports.app,
      outboundPort: this.#sidecar === null ? null : this.ports.outbound,
    }
    const app = this.#options.supervisor.start({
      name: `${this.id}-app`,
      group: 'apps',
      command: process.execPath,
      args: ['--disable-warning=ExperimentalWarning', program, JSON.stringify(config)],
      env: childEnv(),
    })
    this.#app = app
    await waitFor(() => this.ask('/healthz'), {
      what: `${this.id} to listen`,
      timeoutMs: 20_000,
      failed: app.failed,
    })
  }

  /** Starts its Envoy and waits for its first configuration. */
  async startSidecar(): Promise<void> {
    this.sidecar.start()
    await this.sidecar.waitUntilReady()
  }

  /** SIGKILL to the application. */
  async killApp(): Promise<void> {
    await this.#app?.kill()
  }

  /** The application ends by itself. */
  async stopApp(): Promise<void> {
    await this.#app?.stop()
  }

  /** Tells the application what to answer from now on. */
  async control(behaviour: { status?: number; delayMs?: number; healthy?: boolean }): Promise<void> {
    const { status, body } = await this.ask('/control', JSON.stringify(behaviour))
    if (status !== 200) throw new Error(`${this.id} answered ${status} to /control: ${body}`)
  }

  /** One request to the application itself. */
  ask(path: string, body?: string): Promise<Answer> {
    return exchange({ port: this.ports.app, path, host: 'app', body })
  }

  /** One request through its own sidecar to another service. */
  get(authority: string, path = '/', headers: Record<string, string> = {}): Promise<Answer> {
    return exchange({ port: this.ports.outbound, path, host: authority, headers })
  }

  /** Load through its own sidecar. */
  load(options: Omit<LoadOptions, 'port'>): Load {
    return Load.start({ port: this.ports.outbound, ...options })
  }
}

interface Exchange {
  readonly port: number
  readonly path: string
  readonly host: string
  readonly headers?: Record<string, string>
  readonly body?: string | undefined
}

const exchange = ({ port, path, host, headers = {}, body }: Exchange): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const call = request({
      host: '127.0.0.1',
      port,
      path,
      method: body === undefined ? 'GET' : 'POST',
      headers: { ...headers, host },
      agent: false,
      timeout: 20_000,
    })
    call.once('timeout', () => call.destroy(new Error(`${host}${path}: no answer in time`)))
    call.once('error', reject)
    call.once('response', response => {
      text(response).then(content => {
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: content })
      }, reject)
    })
    call.end(body)
  })
