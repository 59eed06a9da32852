import {
  inboundCluster,
  inboundListener,
  otlpCluster,
  outboundListener,
} from '@waymark/sidecar-config/envoy/names.ts'
import type { TracingInput } from '@waymark/sidecar-config/envoy/tracing.ts'
import type { Revision } from '../domain/revision.ts'
import type { MeshState } from '../mesh/mesh-state.ts'
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

interface Own {
  readonly clusters: ReadonlyMap<string, XdsResource>
  readonly listeners: ReadonlyMap<string, XdsResource>
}

export interface SidecarViewOptions {
  readonly node: SidecarNode
  readonly mesh: MeshState
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
  #own: Own = { clusters: new Map(), listeners: new Map() }

  constructor(options: SidecarViewOptions) {
    this.#options = options
    this.node = options.node
    this.clusters = new LiveSet({
      get: name => this.#own.clusters.get(name) ?? this.#serviceCluster(name),
      wildcard: {
        names: () => this.#clusterNames(),
        covers: name => this.#own.clusters.has(name) || options.scope.calls(name),
      },
      // Also what it says that it holds: it has asked for that at another replica.
      asked: names => {
        const { services, scope } = options
        scope.ask(names.filter(name => services.has(name)).map(name => [name, name]))
      },
    })
    this.listeners = new LiveSet({
      get: name => this.#own.listeners.get(name),
      wildcard: {
        names: () => this.#own.listeners.keys(),
        covers: name => this.#own.listeners.has(name),
      },
    })
    this.refresh(options.mesh.revision)
  }

  /** Follows the sidecar's own instance; returns the names that have changed. */
  refresh(revision: Revision): { readonly clusters: string[]; readonly listeners: string[] } {
    const before = this.#own
    this.#own = this.#build(revision, before)
    const changed = (one: ReadonlyMap<string, XdsResource>, two: ReadonlyMap<string, XdsResource>) =>
      [...new Set([...one.keys(), ...two.keys()])].filter(name => one.get(name) !== two.get(name))
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
    yield* this.#own.clusters.keys()
    yield* this.#options.scope.services()
  }

  #build(revision: Revision, before: Own): Own {
    const { mesh, otlp, own } = this.#options
    const { service, instance: id, outboundPort, inboundPort, onDemand } = this.node
    const tracing = this.#options.tracing && { ...this.#options.tracing, serviceName: service }
    const clusters = new Map<string, XdsResource>()
    const listeners = new Map<string, XdsResource>()
    if (otlp !== null) clusters.set(otlpCluster, otlp)
    const outbound = own.outboundListener({ port: outboundPort, tracing, onDemand }, revision)
    listeners.set(outboundListener, unchanged(before.listeners.get(outboundListener), outbound))
    // Until the instance has registered there is nothing behind an inbound listener. Once it is gone, callers may
    // not have heard of it yet: what they still send is served as before.
    const instance = mesh.instance(service, id)
    if (instance === undefined) {
      for (const [name, resource] of before.clusters) clusters.set(name, resource)
      for (const [name, resource] of before.listeners) listeners.set(name, resource)
      return { clusters, listeners }
    }
    const port = instance.spec.sidecar?.port ?? inboundPort ?? defaultInboundPort
    const bindAddress = bindAddressFor(instance.spec.address)
    const protocol = protocolOf(mesh.service(service))
    const cluster = own.inboundCluster({ protocol, appPort: instance.spec.port }, revision)
    const listener = own.inboundListener({ port, bindAddress, tracing }, revision)
    clusters.set(inboundCluster, unchanged(before.clusters.get(inboundCluster), cluster))
    listeners.set(inboundListener, unchanged(before.listeners.get(inboundListener), listener))
    return { clusters, listeners }
  }
}

/** The very object of before, if it says the same. */
const unchanged = (before: XdsResource | undefined, now: XdsResource): XdsResource =>
  before?.version === now.version ? before : now
