import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { RegistrationBody } from '@waymark/control-plane/rest/schemas/registration.ts'
import { ControlPlane } from '@waymark/deploy/local/control-plane.ts'
import { freePorts, isPortFree, type Listen } from '@waymark/deploy/local/ports.ts'
import { Supervisor } from '@waymark/deploy/local/processes.ts'
import { Api } from './api.ts'
import { eventually } from './eventually.ts'
import { Heartbeats } from './heartbeats.ts'
import { TestInstance } from './test-instance.ts'

export interface TestMeshOptions {
  readonly databaseUrl: string
  readonly envoy: string
  /** Replicas that are started. */
  readonly replicas: number
  /** Where replicas listen for sidecars; default: this machine's loopback. */
  readonly xdsHost?: string
  /** More of the environment of each replica. */
  readonly env?: NodeJS.ProcessEnv
  /** Path of the program that replicas run; absent: the sources. */
  readonly program?: string
  /** Ports on which a process of the test is going to listen, until the mesh is closed. */
  readonly avoid?: readonly number[]
}

export interface Replica {
  readonly name: string
  readonly process: ControlPlane
  readonly api: Api
}

export interface InstanceOptions {
  readonly service: string
  readonly id: string
  /** What its registration says besides address, port and sidecar. Without a lease it never beats. */
  readonly registration?: Partial<RegistrationBody>
  readonly sidecar?: boolean
  /** Its sidecar gets services on demand. */
  readonly onDemand?: boolean
  /** Where its sidecar finds the control plane; absent: at every replica. */
  readonly controlPlane?: readonly Listen[]
  /** False: registered later, by the test. */
  readonly register?: boolean
}

/** Quick enough for tests: an instance that dies is found out within a second or two. */
export const quickCheck: NonNullable<RegistrationBody['checks']> = [
  {
    kind: 'http',
    path: '/healthz',
    interval: '1s',
    timeout: '500ms',
    healthyThreshold: 1,
    unhealthyThreshold: 2,
  },
]

/** Replicas, instances and sidecars of one test. All that it starts ends with `close`, and what stays is an error. */
export class TestMesh {
  readonly replicas: readonly Replica[]
  readonly directory: string
  readonly #options: TestMeshOptions
  readonly #supervisor: Supervisor
  readonly #started = new Set<number>()
  readonly #ports = new Set<number>()
  readonly #closers: (() => Promise<unknown>)[] = []
  #heartbeats: Heartbeats | null = null
  #turn = 0

  private constructor(options: TestMeshOptions, directory: string, ports: readonly number[]) {
    this.#options = options
    this.directory = directory
    this.#supervisor = new Supervisor({
      logDir: join(directory, 'logs'),
      onChange: running => {
        for (const { pid } of running) this.#started.add(pid)
      },
    })
    for (const port of [...ports, ...(options.avoid ?? [])]) this.#ports.add(port)
    this.replicas = Array.from({ length: options.replicas }, (_, index) => {
      const name = `replica-${index + 1}`
      const [http = 0, xds = 0] = ports.slice(2 * index)
      const process = new ControlPlane({
        supervisor: this.#supervisor,
        name,
        databaseUrl: options.databaseUrl,
        http: { host: '127.0.0.1', port: http },
        xds: { host: options.xdsHost ?? '127.0.0.1', port: xds },
        dataDir: join(directory, name),
        ...(options.program === undefined ? {} : { program: options.program }),
        env: {
          WAYMARK_REPLICA_ID: name,
          ...(options.xdsHost === undefined ? {} : { WAYMARK_XDS_PLAINTEXT: 'yes' }),
          ...options.env,
        },
      })
      return { name, process, api: new Api(process.url) }
    })
  }

  static async start(options: TestMeshOptions): Promise<TestMesh> {
    const directory = await mkdtemp(join(tmpdir(), 'waymark-e2e-'))
    const ports = await freePorts(2 * options.replicas, { avoid: new Set(options.avoid) })
    const mesh = new TestMesh(options, directory, ports)
    try {
      await Promise.all(mesh.replicas.map(({ process }) => process.start()))
    } catch (error) {
      await mesh.close()
      throw error
    }
    return mesh
  }

  /** The first replica, for tests to which it does not matter. */
  get api(): Api {
    return this.replica(0).api
  }

  get supervisor(): Supervisor {
    return this.#supervisor
  }

  replica(index: number): Replica {
    const replica = this.replicas[index]
    if (replica === undefined) throw new Error(`there is no replica ${index}`)
    return replica
  }

  /** Beats for the instances that have a lease; begins with the first of them. */
  get heartbeats(): Heartbeats {
    if (this.#heartbeats === null) {
      const heartbeats = new Heartbeats({
        everyMs: 500,
        replicas: () => this.replicas.filter(({ process }) => process.pid !== null).map(({ api }) => api),
      })
      this.#heartbeats = heartbeats
      this.onClose(() => heartbeats.stop())
    }
    return this.#heartbeats
  }

  /** Ports that nobody listens on; `close` checks that nobody does then either. */
  async ports(count: number): Promise<number[]> {
    const ports = await freePorts(count, { avoid: this.#ports })
    for (const port of ports) this.#ports.add(port)
    return ports
  }

  /** Runs before the processes are stopped; the last given runs first. */
  onClose(close: () => Promise<unknown>): void {
    this.#closers.push(close)
  }

  /** Starts its application, registers it at the replicas in turn, starts its sidecar. */
  async instance(options: InstanceOptions): Promise<TestInstance> {
    const { service, id, sidecar = true, onDemand = false, register = true } = options
    const [app = 0, outbound = 0, inbound = 0, admin = 0] = await this.ports(4)
    const instance = new TestInstance({
      supervisor: this.#supervisor,
      envoy: this.#options.envoy,
      service,
      id,
      ports: { app, outbound, inbound, admin },
      controlPlane: options.controlPlane ?? this.replicas.map(({ process }) => process.xds),
      configDir: join(this.directory, 'sidecars'),
      sidecar,
      onDemand,
    })
    await instance.startApp()
    if (register) await this.register(instance, options.registration)
    if (sidecar) await instance.startSidecar()
    return instance
  }

  async register(instance: TestInstance, registration: Partial<RegistrationBody> = {}): Promise<void> {
    const { service, id } = instance
    const { api } = this.replica((this.#turn += 1) % this.replicas.length)
    await api.register(service, id, { lease: null, ...instance.registration, ...registration })
    if (registration.lease !== undefined && registration.lease !== null) this.heartbeats.add(service, id)
  }

  /** Waits until a request of `caller` to `service` was answered by each of these instances. */
  async reaches(caller: TestInstance, service: string, ids: readonly string[]): Promise<void> {
    const missing = new Set(ids)
    await eventually(`${caller.id} to reach ${ids.join(', ')}`, async () => {
      const { headers } = await caller.get(service)
      const by = headers['x-instance']
      if (typeof by === 'string') missing.delete(by)
      return missing.size === 0
    })
  }

  /** Stops everything; rejects when a process has stayed or a port is still taken. */
  async close(): Promise<void> {
    const errors: unknown[] = []
    for (const close of this.#closers.reverse()) await close().catch((error: unknown) => errors.push(error))
    await this.#supervisor.stopAll()
    const left = [...this.#started].filter(groupRuns)
    if (left.length > 0) errors.push(new Error(`processes were left behind in the groups ${left.join(', ')}`))
    const free = await Promise.all([...this.#ports].map(port => isPortFree({ host: '127.0.0.1', port })))
    if (free.includes(false)) errors.push(new Error('a port of this test is still taken'))
    if (process.env['WAYMARK_KEEP_TEST_LOGS'] === undefined)
      await rm(this.directory, { recursive: true, force: true })
    if (errors.length > 0)
      throw new AggregateError(errors, `closing a test's mesh: ${errors.map(String).join('; ')}`)
  }
}

/** Every process that is started leads a group of its own. */
const groupRuns = (pid: number): boolean => {
  try {
    process.kill(-pid, 0)
    return true
  } catch {
    return false
  }
}
