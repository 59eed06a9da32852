import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { freePort, type Listen } from './ports.ts'
import type { ManagedProcess, Supervisor } from './processes.ts'
import { Sidecar, type SidecarPorts } from './sidecar.ts'
import { waitFor } from './wait.ts'

export interface SampleSpec {
  readonly service: string
  readonly instance: string
  readonly version: string
  /** The service that it calls; null: none. */
  readonly upstream: string | null
}

const sample = (service: string, upstream: string | null, versions: readonly string[]): SampleSpec[] =>
  versions.map((version, index) => ({ service, instance: `${service}-${index + 1}`, version, upstream }))

/** web (2) -> orders (2) -> payments (3, of which one is v2) */
const sampleSpecs: readonly SampleSpec[] = [
  ...sample('web', 'orders', ['v1', 'v1']),
  ...sample('orders', 'payments', ['v1', 'v1']),
  ...sample('payments', null, ['v1', 'v1', 'v2']),
]

interface InstancePorts extends SidecarPorts {
  readonly app: number
}

export interface MeshOptions {
  readonly supervisor: Supervisor
  readonly envoy: string
  /** REST and xDS of each replica. */
  readonly controlPlane: readonly { readonly url: string; readonly xds: Listen }[]
  readonly dataDir: string
  readonly specs?: readonly SampleSpec[]
  /**
   * The first port of the block that is preferred: instance n gets `base + 10 n` (application), `+ 1` (outbound),
   * `+ 2` (inbound), `+ 3` (admin). Without it all ports are any that are free.
   */
  readonly basePort?: number
  readonly signal?: AbortSignal | undefined
}

const program = fileURLToPath(new URL('../samples/service.ts', import.meta.url))

/** One instance of the sample mesh: an application and its sidecar, each a process of its own. */
export class SampleInstance {
  readonly spec: SampleSpec
  readonly ports: InstancePorts
  readonly sidecar: Sidecar
  readonly #options: MeshOptions
  #process: ManagedProcess | null = null

  constructor(spec: SampleSpec, ports: InstancePorts, options: MeshOptions) {
    const { supervisor, envoy, controlPlane, dataDir } = options
    this.spec = spec
    this.ports = ports
    this.#options = options
    this.sidecar = new Sidecar({
      supervisor,
      envoy,
      service: spec.service,
      instance: spec.instance,
      ports,
      controlPlane: controlPlane.map(({ xds }) => xds),
      configDir: join(dataDir, 'sidecars'),
    })
  }

  get name(): string {
    return this.spec.instance
  }

  /** Where callers outside the mesh reach it: through its sidecar. */
  get url(): string {
    return `http://127.0.0.1:${this.ports.inbound}/`
  }

  get pid(): number | null {
    return this.#process?.running === true ? this.#process.pid : null
  }

  /** Of the application and the sidecar, as far as they run. */
  get pids(): number[] {
    return [this.pid, this.sidecar.pid].filter(pid => pid !== null)
  }

  /** Starts what does not run of the two; returns at once. */
  start(): void {
    if (this.sidecar.pid === null) this.sidecar.start()
    if (this.pid !== null) return
    const { service, instance, version, upstream } = this.spec
    this.#process = this.#options.supervisor.start({
      name: instance,
      group: 'samples',
      command: process.execPath,
      args: ['--disable-warning=ExperimentalWarning', program],
      // At once, without draining: the whole mesh goes.
      stopSignal: 'SIGINT',
      env: {
        PATH: process.env['PATH'],
        NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'],
        WAYMARK_API: this.#options.controlPlane.map(({ url }) => url).join(),
        SAMPLE_SERVICE: service,
        SAMPLE_INSTANCE: instance,
        SAMPLE_VERSION: version,
        SAMPLE_LISTEN: `127.0.0.1:${this.ports.app}`,
        SAMPLE_SIDECAR_PORT: String(this.ports.inbound),
        SAMPLE_OUTBOUND: `http://127.0.0.1:${this.ports.outbound}`,
        ...(upstream === null ? {} : { SAMPLE_UPSTREAM: upstream }),
      },
    })
  }

  /** The sidecar has both listeners and, where the instance calls a service, a host for it; requests go through. */
  async waitUntilReady(timeoutMs = 30_000): Promise<void> {
    const { signal } = this.#options
    await this.sidecar.waitUntilReady({ timeoutMs, signal })
    await waitFor(
      async () => {
        const [listeners, clusters] = await Promise.all([
          this.sidecar.admin.listeners(),
          this.sidecar.admin.clusters(),
        ])
        const { upstream } = this.spec
        return listeners.length >= 2 && (upstream === null || (clusters.get(upstream)?.length ?? 0) > 0)
      },
      {
        what: `the sidecar of ${this.name} to know the mesh`,
        timeoutMs,
        intervalMs: 50,
        failed: () => this.#process?.failed() ?? null,
        signal,
      },
    )
  }

  /** SIGKILL to both, as when a host dies. */
  async kill(): Promise<void> {
    await Promise.all([this.#process?.kill(), this.sidecar.kill()])
  }
}

export interface Mesh {
  readonly instances: readonly SampleInstance[]
  of(service: string): SampleInstance[]
}

const choosePorts = async (count: number, base: number | undefined): Promise<InstancePorts[]> => {
  const taken = new Set<number>()
  const next = async (instance: number, offset: number): Promise<number> => {
    const preferred = base === undefined ? undefined : base + 10 * instance + offset
    const port = await freePort({ preferred, avoid: taken })
    taken.add(port)
    return port
  }
  const ports: InstancePorts[] = []
  for (let instance = 0; instance < count; instance += 1)
    ports.push({
      app: await next(instance, 0),
      outbound: await next(instance, 1),
      inbound: await next(instance, 2),
      admin: await next(instance, 3),
    })
  return ports
}

/** Starts every instance; `waitUntilReady` of each tells when requests go through. */
export const startMesh = async (options: MeshOptions): Promise<Mesh> => {
  const specs = options.specs ?? sampleSpecs
  const ports = await choosePorts(specs.length, options.basePort)
  options.signal?.throwIfAborted()
  const instances = specs.flatMap((spec, index) => {
    const own = ports[index]
    return own === undefined ? [] : [new SampleInstance(spec, own, options)]
  })
  for (const instance of instances) instance.start()
  return { instances, of: service => instances.filter(({ spec }) => spec.service === service) }
}
