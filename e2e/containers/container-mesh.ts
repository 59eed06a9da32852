import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ImageName } from '@waymark/deploy/images/image-roots.ts'
import { Api } from '../harness/api.ts'
import { eventually } from '../harness/eventually.ts'
import type { Podman } from './podman.ts'

export interface Host {
  readonly service: string
  readonly instance: string
  readonly address: string
}

const password = 'only-for-this-run'

/**
 * A mesh with every part in a container of its own: Postgres, two replicas, and hosts. The sidecar's container has
 * the host's address; the application shares its network, so that it can die alone.
 */
export class ContainerMesh {
  readonly replicas: readonly { readonly name: string; readonly address: string; readonly api: Api }[]
  readonly #podman: Podman
  readonly #image: (name: ImageName) => string
  readonly #addressOf: (host: number) => string
  readonly #folder: string
  #hosts = 0

  private constructor(options: {
    podman: Podman
    image: (name: ImageName) => string
    addressOf: (host: number) => string
    folder: string
  }) {
    this.#podman = options.podman
    this.#image = options.image
    this.#addressOf = options.addressOf
    this.#folder = options.folder
    this.replicas = [11, 12].map((host, index) => {
      const address = options.addressOf(host)
      return { name: `waymark-${index + 1}`, address, api: new Api(`http://${address}:7400`) }
    })
  }

  static async create(podman: Podman, image: (name: ImageName) => string): Promise<ContainerMesh> {
    const addressOf = await podman.createNetwork()
    const folder = await mkdtemp(join(tmpdir(), 'waymark-containers-'))
    // The images' users write and read here.
    await chmod(folder, 0o777)
    return new ContainerMesh({ podman, image, addressOf, folder })
  }

  /** Starts Postgres and both replicas at once, and waits until both are ready. */
  async startControlPlane(): Promise<void> {
    await this.#podman.start({
      name: 'postgres',
      image: this.#image('postgres'),
      network: { address: this.#addressOf(10) },
      env: { POSTGRES_PASSWORD: password },
      writable: true,
    })
    for (const { name, address } of this.replicas) {
      await this.#podman.start({
        name,
        image: this.#image('control-plane'),
        network: { address },
        env: {
          DATABASE_URL: `postgres://postgres:${password}@${this.#addressOf(10)}:5432/postgres`,
          WAYMARK_REPLICA_ID: name,
          WAYMARK_SINKS: 'stdout',
          WAYMARK_XDS_PLAINTEXT: 'yes',
        },
      })
    }
    for (const { name, api } of this.replicas) {
      await eventually(`${name} to be ready`, async () => (await fetch(`${api.url}/readyz`)).ok, 60_000)
    }
  }

  /** A host with an application and its sidecar, whose bootstrap `waymark bootstrap` writes. */
  async startHost(service: string, instance: string, upstream?: string): Promise<Host> {
    const address = this.#addressOf(20 + this.#hosts++)
    const output = `${instance}.json`
    await this.#podman.once({
      image: this.#image('control-plane'),
      folder: this.#folder,
      args: [
        '/app/control-plane/bin/waymark.ts',
        'bootstrap',
        `--service=${service}`,
        `--instance=${instance}`,
        ...this.replicas.map(replica => `--control-plane=${replica.address}:7401`),
        '--prometheus-port=15090',
        `--output=/out/${output}`,
      ],
    })
    await this.#podman.start({
      name: `${instance}-sidecar`,
      image: this.#image('sidecar'),
      network: { address },
      mounts: { [join(this.#folder, output)]: '/etc/envoy/bootstrap.json' },
    })
    await this.#podman.start({
      name: instance,
      image: this.#image('sample'),
      network: { sharedWith: `${instance}-sidecar` },
      env: {
        SAMPLE_SERVICE: service,
        SAMPLE_INSTANCE: instance,
        SAMPLE_ADDRESS: address,
        SAMPLE_LISTEN: '0.0.0.0:8080',
        SAMPLE_SIDECAR_PORT: '15006',
        WAYMARK_API: this.replicas.map(replica => replica.api.url).join(','),
        ...(upstream === undefined ? {} : { SAMPLE_UPSTREAM: upstream }),
      },
    })
    return { service, instance, address }
  }

  /** How many requests a sidecar's listener has taken, by its own metrics. */
  async requestsThrough({ address }: Host, direction: 'inbound' | 'outbound'): Promise<number> {
    const text = await (await fetch(`http://${address}:15090/metrics`)).text()
    const line = new RegExp(
      `^envoy_http_downstream_rq_total\\{[^}]*envoy_http_conn_manager_prefix="${direction}"[^}]*\\} (\\d+)$`,
      'm',
    )
    return Number(line.exec(text)?.[1] ?? 0)
  }

  async remove(): Promise<void> {
    await this.#podman.removeAll()
    await rm(this.#folder, { recursive: true, force: true })
  }
}
