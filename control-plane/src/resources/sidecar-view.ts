import type { TracingInput } from '@waymark/sidecar-config/envoy/tracing.ts'
import type { Revision } from '../domain/revision.ts'
import type { FollowedMesh } from '../mesh/mesh-state.ts'
import type { XdsResource } from '../xds/port.ts'
import type { CallScope } from './call-scope.ts'
import { LiveSet } from './live-set.ts'
import type { OwnResources } from './own-resources.ts'
import { protocolOf, type ServiceResources } from './service-resources.ts'
import type { SidecarNode } from './sidecar-node.ts'

const defaultInboundPort = 15_006

/**
 * Callers come from other hosts, except to an instance that says it is reached on loopback. What it is reached at
 * otherwise need not be an address of its own host (NAT, containers).
 */
const bindAddressFor = (address: string): string => {
  if (address.includes(':')) return address === '::1' ? address : '::'
  return address.startsWith('127.') ? address : '0.0.0.0'
}

/** Two or three of each. */
interface Own {
  readonly clusters: readonly XdsResource[]
  readonly listeners: readonly XdsResource[]
}

const nothing: Own = { clusters: [], listeners: [] }

const named = (resources: readonly XdsResource[], name: string): XdsResource | undefined =>
  resources.find(resource => resource.name === name)

export interface SidecarViewOptions {
  readonly node: SidecarNode
  readonly mesh: FollowedMesh
  readonly services: ServiceResources
  readonly scope: CallScope
  readonly own: OwnResources
  readonly tracing: Omit<TracingInput, 'serviceName'> | null
  /** The cluster of the collector; null without tracing. */
  readonly otlp: XdsResource | null
}

/** What one sidecar has for itself alone: its listeners, and the cluster of the application beside it. */
export class SidecarView {
  readonly node: SidecarNode
  /** Those of the services that the sidecar calls (shared objects), and its own. */
  readonly clusters: LiveSet
  readonly listeners: LiveSet
  readonly #options: SidecarViewOptions
  #own = nothing

  constructor(options: SidecarViewOptions) {
    this.#options = options
    this.node = options.node
    this.clusters = new LiveSet({
      get: name => named(this.#own.clusters, name) ?? this.#serviceCluster(name),
      wildcard: {
        names: () => this.#clusterNames(),
        covers: name => named(this.#own.clusters, name) !== undefined || options.scope.calls(name),
      },
      // Also what it says that it holds: it has asked for that at another replica.
      asked: names => {
        const { services, scope } = options
        scope.ask(names.filter(name => services.has(name)).map(name => [name, name]))
      },
    })
    this.listeners = new LiveSet({
      get: name => named(this.#own.listeners, name),
      wildcard: {
        names: () => this.#own.listeners.map(({ name }) => name),
        covers: name => named(this.#own.listeners, name) !== undefined,
      },
    })
    this.refresh(options.mesh.revision)
  }

  /** Follows the sidecar's own instance; returns the names that have changed. */
  refresh(revision: Revision): { readonly clusters: string[]; readonly listeners: string[] } {
    const before = this.#own
    this.#own = this.#build(revision, before)
    const changed = (one: readonly XdsResource[], two: readonly XdsResource[]): string[] => {
      const names = new Set([...one, ...two].map(({ name }) => name))
      return [...names].filter(name => named(one, name) !== named(two, name))
    }
    return {
      clusters: changed(before.clusters, this.#own.clusters),
      listeners: changed(before.listeners, this.#own.listeners),
    }
  }

  #serviceCluster(name: string): XdsResource | undefined {
    const { services, scope } = this.#options
    return scope.onDemand || scope.calls(name) ? services.cluster(name, this.node.service) : undefined
  }

  *#clusterNames(): Generator<string> {
    for (const { name } of this.#own.clusters) yield name
    yield* this.#options.scope.services()
  }

  #build(revision: Revision, before: Own): Own {
    const { mesh, otlp, own } = this.#options
    const { service, instance: id, outboundPort, inboundPort, onDemand } = this.node
    const tracing = this.#options.tracing && { ...this.#options.tracing, serviceName: service }
    const tracer = otlp === null ? [] : [otlp]
    const outbound = own.outboundListener({ port: outboundPort, tracing, onDemand }, revision)
    const listeners = [unchanged(before.listeners, outbound)]
    // Until the instance has registered there is nothing behind an inbound listener. Once it is gone, callers may
    // not have heard of it yet: what they still send is served as before.
    const instance = mesh.instance(service, id)
    if (instance === undefined) {
      const kept = (resources: readonly XdsResource[], now: readonly XdsResource[]) => [
        ...now,
        ...resources.filter(({ name }) => named(now, name) === undefined),
      ]
      return { clusters: kept(before.clusters, tracer), listeners: kept(before.listeners, listeners) }
    }
    const port = instance.spec.sidecar?.port ?? inboundPort ?? defaultInboundPort
    const bindAddress = bindAddressFor(instance.spec.address)
    const protocol = protocolOf(mesh.service(service))
    const cluster = own.inboundCluster({ protocol, appPort: instance.spec.port }, revision)
    const listener = own.inboundListener({ port, bindAddress, tracing }, revision)
    return {
      clusters: [...tracer, unchanged(before.clusters, cluster)],
      listeners: [...listeners, unchanged(before.listeners, listener)],
    }
  }
}

/** The very object of before, if it says the same. */
const unchanged = (before: readonly XdsResource[], now: XdsResource): XdsResource => {
  const same = named(before, now.name)
  return same?.version === now.version ? same : now
}
