import { VirtualHost } from '@envoyproxy/protos/envoy/config/route/v3/route_components.ts'
import { RouteConfiguration } from '@envoyproxy/protos/envoy/config/route/v3/route.ts'
import type { MemoryChange, MemoryResource } from '@waymark/control-plane/xds/memory-source.ts'
import { clusterType, endpointType, virtualHostType } from '@waymark/control-plane/xds/type-urls.ts'
import { overAds } from '@waymark/sidecar-config/envoy/ads.ts'
import { buildCluster } from '@waymark/sidecar-config/envoy/cluster.ts'
import { buildEndpoints } from '@waymark/sidecar-config/envoy/endpoints.ts'
import { buildOutboundListener } from '@waymark/sidecar-config/envoy/outbound.ts'
import {
  packCluster,
  packEndpoints,
  packListener,
  packRoutes,
  type PackedResource,
} from '@waymark/sidecar-config/envoy/resource.ts'
import { parseDocument } from '@waymark/sidecar-config/model/document.ts'
import { effectivePolicy } from '@waymark/sidecar-config/model/effective-policy.ts'
import { clusterPolicyOf } from '@waymark/sidecar-config/model/traffic-settings.ts'

export interface ChurnOptions {
  /** Gives numbers in [0, 1). */
  readonly random: () => number
  /** Ports of applications that answer every request. */
  readonly apps: readonly number[]
  /** Of Envoy's listener. */
  readonly port: number
  /** Whether virtual hosts come one by one (VHDS) or inside the route configuration. */
  readonly virtualHosts: 'one by one' | 'inline'
}

/** One step of the churn: `change` is one revision. */
export interface ChurnStep {
  readonly what: string
  /** A host that may be asked once the step is in. */
  readonly comes?: string
  /** A host that must not be asked any more before the step is applied. */
  readonly goes?: string
  readonly change: () => MemoryChange
}

interface ClusterState {
  /** Which of a few configurations it has. */
  variant: number
  readonly apps: Set<number>
}

/** Cluster to its weight. */
type HostState = Map<string, number>

const fixedHosts = ['host-0', 'host-1', 'host-2', 'host-3']
const mostClusters = 4
const mostVisitors = 3
const routeTable = 'outbound'

const variants = [
  { timeouts: { connect: '1s' } },
  { timeouts: { connect: '2s' }, loadBalancing: { policy: 'leastRequest' } },
  { timeouts: { connect: '3s' }, loadBalancing: { policy: 'random' } },
  { timeouts: { connect: '1s' }, connectionLimits: { requests: 5_000 } },
] as const

/**
 * A mesh that changes at random, as the resources of one Envoy: hosts, each routed by weight to clusters (a service's
 * subsets), which have endpoints. Every state of it can answer every host that is there.
 */
export class ChurnModel {
  readonly #options: ChurnOptions
  readonly #clusters = new Map<string, ClusterState>()
  readonly #hosts = new Map<string, HostState>()
  #listenerVariant = 0
  #lastName = 0
  #served = new Map<string, MemoryResource>()

  constructor(options: ChurnOptions) {
    this.#options = options
    for (const host of fixedHosts) this.#addHost(host)
  }

  get hosts(): readonly string[] {
    return [...this.#hosts.keys()]
  }

  /** The names of all clusters, sorted. */
  get clusters(): readonly string[] {
    return [...this.#clusters.keys()].sort()
  }

  /** The whole state, or what has changed since this was last asked. */
  change(): MemoryChange {
    const resources = new Map(this.#resources().map(resource => [keyOf(resource), resource]))
    const remove = [...this.#served.values()].filter(resource => !resources.has(keyOf(resource)))
    this.#served = resources
    return { put: [...resources.values()], remove }
  }

  /** The next random step; it happens when its `change` is called. */
  step(): ChurnStep {
    const host = this.#pick([...this.#hosts.keys()])
    const weights = this.#hosts.get(host) ?? new Map<string, number>()
    const cluster = this.#pick([...weights.keys()])
    const state = this.#clusters.get(cluster)
    const visitors = this.hosts.filter(name => !fixedHosts.includes(name))
    const steps: Record<string, () => ChurnStep | undefined> = {
      endpoints: () =>
        this.#does(`endpoints of ${cluster}`, () => {
          if (state) this.#changeApps(state)
        }),
      'cluster changed': () =>
        this.#does(`${cluster} changed`, () => {
          if (state) state.variant = (state.variant + 1 + this.#below(variants.length - 1)) % variants.length
        }),
      weights: () => this.#does(`weights of ${host}`, () => weights.set(cluster, 1 + this.#below(9))),
      'subset added': () =>
        weights.size >= mostClusters
          ? undefined
          : this.#does(`subset for ${host}`, () => weights.set(this.#addCluster(host), 1 + this.#below(9))),
      'subset removed': () =>
        weights.size < 2
          ? undefined
          : this.#does(`${cluster} removed`, () => {
              this.#drop(weights, cluster)
            }),
      renamed: () =>
        this.#does(`${cluster} renamed`, () => {
          weights.set(this.#addCluster(host), weights.get(cluster) ?? 1)
          this.#drop(weights, cluster)
        }),
      'all renamed': () =>
        this.#does(`every cluster of ${host} renamed`, () => {
          for (const old of [...weights.keys()]) {
            weights.set(this.#addCluster(host), 1 + this.#below(9))
            this.#drop(weights, old)
          }
        }),
      listener: () => this.#does('listener changed', () => (this.#listenerVariant += 1)),
      'host added': () => {
        if (visitors.length >= mostVisitors) return undefined
        const comes = `visitor-${(this.#lastName += 1)}`
        return {
          ...this.#does(`${comes} comes`, () => {
            this.#addHost(comes)
          }),
          comes,
        }
      },
      'host removed': () => {
        if (visitors.length === 0) return undefined
        const goes = this.#pick(visitors)
        return {
          ...this.#does(`${goes} goes`, () => {
            this.#removeHost(goes)
          }),
          goes,
        }
      },
    }
    for (;;) {
      const step = this.#pick(Object.values(steps))()
      if (step !== undefined) return step
    }
  }

  #does(what: string, mutate: () => unknown): ChurnStep {
    const change = (): MemoryChange => {
      mutate()
      return this.change()
    }
    return { what, change }
  }

  #addHost(host: string): void {
    this.#hosts.set(host, new Map([[this.#addCluster(host), 1]]))
  }

  #removeHost(host: string): void {
    for (const cluster of this.#hosts.get(host)?.keys() ?? []) this.#clusters.delete(cluster)
    this.#hosts.delete(host)
  }

  #addCluster(host: string): string {
    const name = `${host}/v${(this.#lastName += 1)}`
    const state = { variant: this.#below(variants.length), apps: new Set<number>() }
    for (let left = 1 + this.#below(3); left > 0; left -= 1) state.apps.add(this.#pick(this.#options.apps))
    this.#clusters.set(name, state)
    return name
  }

  #drop(weights: HostState, cluster: string): void {
    weights.delete(cluster)
    this.#clusters.delete(cluster)
  }

  #changeApps({ apps }: ClusterState): void {
    const app = this.#pick(this.#options.apps)
    if (!apps.delete(app)) apps.add(app)
    if (apps.size === 0) apps.add(this.#pick(this.#options.apps))
  }

  #resources(): MemoryResource[] {
    const { virtualHosts, port } = this.#options
    const hosts = [...this.#hosts].map(([host, weights]) => ({ host: virtualHost(host, weights), weights }))
    const inline = virtualHosts === 'inline'
    const clustersOf = (weights: HostState) =>
      [...weights.keys()].map(name => ({ typeUrl: clusterType, name }))
    const table = RouteConfiguration.fromPartial({
      name: routeTable,
      ...(inline
        ? { virtualHosts: hosts.map(({ host }) => host) }
        : { vhds: { configSource: overAds(15_000) } }),
    })
    const listener = buildOutboundListener({ port, tracing: null })
    const [chain] = listener.filterChains
    if (chain !== undefined) chain.name = `http-${this.#listenerVariant}`
    return [
      ...[...this.#clusters].flatMap(([name, state]) => [clusterOf(name, state), endpointsOf(name, state)]),
      packListener(listener),
      {
        ...packRoutes(table),
        ...(inline && { dependsOn: hosts.flatMap(({ weights }) => clustersOf(weights)) }),
      },
      ...(inline ? [] : hosts).map(({ host, weights }) => ({
        typeUrl: virtualHostType,
        name: host.name,
        body: VirtualHost.encode(host).finish(),
        dependsOn: clustersOf(weights),
      })),
    ]
  }

  #below(limit: number): number {
    return Math.floor(this.#options.random() * limit)
  }

  #pick<T>(items: readonly T[]): T {
    const item = items[this.#below(items.length)]
    if (item === undefined) throw new Error('nothing to pick from')
    return item
  }
}

const keyOf = ({ typeUrl, name }: { typeUrl: string; name: string }): string => `${typeUrl} ${name}`

/** Without retries: each failure would be seen. */
const virtualHost = (host: string, weights: HostState): VirtualHost =>
  VirtualHost.fromPartial({
    name: `${routeTable}/${host}`,
    domains: [host],
    routes: [
      {
        match: { prefix: '/' },
        route: {
          weightedClusters: { clusters: [...weights].map(([name, weight]) => ({ name, weight })) },
        },
      },
    ],
  })

const policyOf = (spec: object) => {
  const parsed = parseDocument('TrafficPolicy', 'churn', spec)
  if (!parsed.ok || parsed.document.kind !== 'TrafficPolicy') throw new Error(JSON.stringify(parsed))
  const { settings } = effectivePolicy({ caller: null, destination: 'churn', documents: [parsed.document] })
  return clusterPolicyOf(settings)
}

const clusterOf = (name: string, { variant }: ClusterState): MemoryResource => {
  const packed = packCluster(
    buildCluster({ service: name, protocol: 'http', policy: policyOf(variants[variant] ?? {}) }),
  )
  return { ...packed, dependsOn: [{ typeUrl: endpointType, name }] }
}

const endpointsOf = (name: string, { apps }: ClusterState): PackedResource =>
  packEndpoints(
    buildEndpoints({
      service: name,
      endpoints: [...apps].map(port => ({
        id: `app-${port}`,
        address: '127.0.0.1',
        port,
        weight: 1,
        health: 'HEALTHY' as const,
        locality: { region: '', zone: '' },
      })),
    }),
  )
