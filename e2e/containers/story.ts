import { buildImage } from '@waymark/deploy/images/build-image.ts'
import { imageNames, type ImageName } from '@waymark/deploy/images/image-roots.ts'
import { countsSince, Load, type LoadCounts } from '@waymark/deploy/local/load.ts'
import { eventually } from '../harness/eventually.ts'
import { ContainerMesh, type Host } from './container-mesh.ts'
import type { Podman } from './podman.ts'
import type { Step } from './steps.ts'

interface Path {
  readonly path: readonly { readonly instance: string }[]
}

const perSecond = 50

const insist = (condition: boolean, otherwise: string): void => {
  if (!condition) throw new Error(otherwise)
}

const described = ({ sent, failed, byInstance, failures }: LoadCounts): string =>
  `${sent} requests, ${failed} failed, ${JSON.stringify(Object.fromEntries(byInstance))} ${JSON.stringify(Object.fromEntries(failures))}`

/** The story: everything in containers, from nothing to a mesh that loses instances and a replica under load. */
export class Story {
  readonly #podman: Podman
  readonly #image: (name: ImageName) => string
  #mesh: ContainerMesh | null = null
  #hosts: Host[] = []
  #load: Load | null = null

  constructor(podman: Podman) {
    this.#podman = podman
    this.#image = name => `localhost/waymark-e2e-${name}:${podman.run}`
  }

  get steps(): readonly Step[] {
    return [
      { name: 'images are built without pulling anything', run: () => this.#build() },
      { name: 'two replicas get ready on one Postgres', run: () => this.#start() },
      { name: 'services register, and both replicas know them', run: () => this.#register() },
      { name: 'a request crosses two sidecars', run: () => this.#cross() },
      { name: 'an application killed under load: its traffic moves', run: () => this.#killApplication() },
      { name: 'a host killed under load: its traffic moves', run: () => this.#killHost() },
      { name: 'a replica killed under load: no request fails', run: () => this.#killReplica() },
      { name: 'the changes came out as CloudEvents', run: () => this.#events() },
    ]
  }

  async end(): Promise<void> {
    await this.#load?.stop()
    await this.#mesh?.remove()
    await this.#podman.removeAll()
    await this.#podman
      .command('image', 'rm', '--force', ...imageNames.map(this.#image))
      .catch(() => undefined)
  }

  async #build(): Promise<string> {
    const built: string[] = []
    for (const name of imageNames) {
      const { bytes, assembleMs, buildMs } = await buildImage({
        engine: this.#podman.engine,
        name,
        reference: this.#image(name),
        onProgress: () => undefined,
      })
      built.push(
        `${name} ${Math.round(bytes / 1e6)} MB in ${Math.round((assembleMs + buildMs) / 100) / 10} s`,
      )
    }
    return built.join(', ')
  }

  async #start(): Promise<string> {
    this.#mesh = await ContainerMesh.create(this.#podman, this.#image)
    await this.#mesh.startControlPlane()
    return 'read-only roots, no capabilities, no root'
  }

  async #register(): Promise<string> {
    const mesh = this.#get(this.#mesh)
    this.#hosts = [await mesh.startHost('orders', 'orders-1', 'payments')]
    for (const instance of ['payments-1', 'payments-2', 'payments-3']) {
      this.#hosts.push(await mesh.startHost('payments', instance))
    }
    for (const { name, api } of mesh.replicas) {
      await eventually(
        `${name} to find all healthy, checked by HTTP`,
        async () => {
          const instances = [...(await api.instances('orders')), ...(await api.instances('payments'))]
          return (
            instances.length === 4 &&
            instances.every(
              ({ verdict, evidence }) =>
                verdict === 'healthy' && evidence.some(({ source }) => source.startsWith('check')),
            )
          )
        },
        60_000,
      )
    }
    return '4 instances, each with a sidecar'
  }

  async #cross(): Promise<string> {
    const mesh = this.#get(this.#mesh)
    const [orders, ...payments] = this.#hosts
    const caller = this.#get(orders ?? null)
    const seen = new Set<string>()
    await eventually(
      'every instance of payments to answer',
      async () => {
        const response = await fetch(`http://${caller.address}:8080/`)
        if (!response.ok) return false
        const { path } = (await response.json()) as Path
        if (path[1] !== undefined) seen.add(path[1].instance)
        return seen.size === 3
      },
      30_000,
    )
    const out = await mesh.requestsThrough(caller, 'outbound')
    const into = await Promise.all(payments.map(host => mesh.requestsThrough(host, 'inbound')))
    insist(out >= 3, `the sidecar of the caller counts ${out} requests`)
    insist(
      into.every(count => count >= 1),
      `the sidecars of payments count ${into.join(', ')} requests`,
    )
    return `${out} out of orders' sidecar, ${into.join(' + ')} into those of payments`
  }

  async #killApplication(): Promise<string> {
    const caller = this.#get(this.#hosts[0] ?? null)
    this.#load = new Load({
      targets: [new URL(`http://${caller.address}:8080/`)],
      perSecond,
      timeoutMs: 15_000,
    })
    this.#load.start()
    await eventually('some answers', () => this.#counts().ok > perSecond)
    return this.#traffic('payments-1', ['payments-1'])
  }

  #killHost(): Promise<string> {
    return this.#traffic('payments-2', ['payments-2', 'payments-2-sidecar'])
  }

  /** Kills containers of an instance, and waits until nobody is sent to it any more and all requests succeed. */
  async #traffic(instance: string, containers: readonly string[]): Promise<string> {
    const { replicas } = this.#get(this.#mesh)
    const before = this.#counts()
    await this.#podman.kill(...containers)
    const killedAt = performance.now()
    for (const { name, api } of replicas) {
      await eventually(
        `${name} to say that ${instance} is unhealthy`,
        async () => (await api.instance('payments', instance)).verdict === 'unhealthy',
        30_000,
      )
    }
    const known = performance.now()
    await eventually(
      'the sidecar of the caller to have it',
      async () => (await this.#anyReplica().sidecar('orders/orders-1')).inSync,
      30_000,
    )
    // Requests that were under way when the instance died end by now, one way or the other.
    await this.#quiet()
    const moved = this.#counts()
    await eventually(
      'many more answers',
      () => countsSince(this.#counts(), moved).ok >= 4 * perSecond,
      30_000,
    )
    const after = countsSince(this.#counts(), moved)
    insist(after.failed === 0, `after the traffic had moved: ${described(after)}`)
    insist(!after.byInstance.has(instance), `${instance} still answers: ${described(after)}`)
    const all = countsSince(this.#counts(), before)
    return `unhealthy after ${Math.round(known - killedAt)} ms; ${described(all)}`
  }

  /** Waits for a second without a failure. */
  async #quiet(): Promise<void> {
    let last = this.#counts()
    let since = performance.now()
    await eventually(
      'failures to end',
      () => {
        const now = this.#counts()
        if (now.failed !== last.failed) since = performance.now()
        last = now
        return performance.now() - since > 1_000
      },
      60_000,
    )
  }

  async #killReplica(): Promise<string> {
    const mesh = this.#get(this.#mesh)
    const [gone, left] = mesh.replicas
    const survivor = this.#get(left ?? null)
    const before = this.#counts()
    await this.#podman.kill(this.#get(gone ?? null).name)
    await eventually(
      'every living sidecar to be in sync with the other replica',
      async () => {
        const { sidecars } = await survivor.api.sidecars()
        const living = sidecars.filter(({ replica }) => replica === survivor.name)
        return ['orders/orders-1', 'payments/payments-1', 'payments/payments-3'].every(node =>
          living.some(sidecar => sidecar.node === node && sidecar.inSync),
        )
      },
      60_000,
    )
    await eventually('more answers', () => countsSince(this.#counts(), before).ok >= 4 * perSecond, 30_000)
    const counts = countsSince(this.#counts(), before)
    insist(counts.failed === 0, described(counts))
    return described(counts)
  }

  async #events(): Promise<string> {
    const mesh = this.#get(this.#mesh)
    const registered = new Set<string>()
    for (const { name } of mesh.replicas) {
      for (const line of (await this.#podman.logs(name)).split('\n')) {
        if (!line.includes('"specversion":"1.0"')) continue
        const event = JSON.parse(line) as { readonly type: string; readonly subject: string }
        if (event.type === 'io.waymark.instance.registered') registered.add(event.subject)
      }
    }
    const missing = this.#hosts
      .map(({ service, instance }) => `${service}/${instance}`)
      .filter(subject => !registered.has(subject))
    insist(missing.length === 0, `no event tells that ${missing.join(', ')} registered`)
    return `${registered.size} registrations on the standard output of the sink's owner`
  }

  #anyReplica() {
    const [first] = this.#get(this.#mesh).replicas
    return this.#get(first ?? null).api
  }

  #counts(): LoadCounts {
    return this.#get(this.#load).counts
  }

  /** What an earlier step has made. */
  #get<T>(value: T | null): T {
    if (value === null) throw new Error('an earlier step made nothing')
    return value
  }
}
