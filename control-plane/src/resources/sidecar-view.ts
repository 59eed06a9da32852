import { buildInboundCluster, buildInboundListener } from '@waymark/sidecar-config/envoy/inbound.ts'
import {
  inboundCluster,
  inboundListener,
  otlpCluster,
  outboundListener,
} from '@waymark/sidecar-config/envoy/names.ts'
import { buildOutboundListener } from '@waymark/sidecar-config/envoy/outbound.ts'
import { packCluster, packListener } from '@waymark/sidecar-config/envoy/resource.ts'
import type { TracingInput } from '@waymark/sidecar-config/envoy/tracing.ts'
import type { Revision } from '../domain/revision.ts'
import type { MeshState } from '../mesh/mesh-state.ts'
import type { ResourceRef, XdsResource } from '../xds/port.ts'
import { clusterType } from '../xds/type-urls.ts'
import { asResource } from './built.ts'
import { LiveSet } from './live-set.ts'
import type { Policies } from './policies.ts'
import { protocolOf, type ServiceResources } from './service-resources.ts'
import type { SidecarNode } from './sidecar-node.ts'

const defaultInboundPort = 15_006

/** Envoy refuses a listener that names a cluster which it does not have yet, and would be left without it. */
const needs = (clusters: readonly string[]): readonly ResourceRef[] =>
  clusters.map(name => ({ typeUrl: clusterType, name }))

/**
 * Callers come from other hosts, except to an instance that says it is reached on loopback. What it is reached at
 * otherwise need not be an address of its own host (NAT, containers).
 */
const bindAddressFor = (address: string): string => {
  if (address.includes(':')) return address === '::1' ? address : '::'
  return address.startsWith('127.') ? address : '0.0.0.0'
}

interface OwnResources {
  readonly clusters: ReadonlyMap<string, XdsResource>
  readonly listeners: ReadonlyMap<string, XdsResource>
}

export interface SidecarViewOptions {
  readonly node: SidecarNode
  readonly mesh: MeshState
  readonly services: ServiceResources
  readonly policies: Policies
  readonly tracing: Omit<TracingInput, 'serviceName'> | null
  /** The cluster of the collector; null without tracing. */
  readonly otlp: XdsResource | null
}

/** The clusters of one sidecar: those of the services it calls (shared objects), and its own. */
class ClusterSet extends LiveSet {
  readonly #view: SidecarView

  constructor(view: SidecarView) {
    super()
    this.#view = view
  }

  get(name: string): XdsResource | undefined {
    return this.#view.ownCluster(name) ?? (this.covers(name) ? this.#view.serviceCluster(name) : undefined)
  }

  *names(): Generator<string> {
    yield* this.#view.ownClusterNames()
    for (const name of this.#view.upstreamNames()) yield name
  }

  covers(name: string): boolean {
    return this.#view.ownCluster(name) !== undefined || this.#view.calls(name)
  }
}

class ListenerSet extends LiveSet {
  readonly #view: SidecarView

  constructor(view: SidecarView) {
    super()
    this.#view = view
  }

  get(name: string): XdsResource | undefined {
    return this.#view.listener(name)
  }

  names(): Iterable<string> {
    return [outboundListener, inboundListener].filter(name => this.covers(name))
  }

  covers(name: string): boolean {
    return this.get(name) !== undefined
  }
}

/** What one sidecar has for itself alone: its listeners, and the cluster of the application beside it. */
export class SidecarView {
  readonly node: SidecarNode
  readonly clusters: ClusterSet
  readonly listeners: ListenerSet
  readonly #options: SidecarViewOptions
  readonly #upstreams: ReadonlySet<string> | null
  #own: OwnResources = { clusters: new Map(), listeners: new Map() }

  constructor(options: SidecarViewOptions) {
    this.#options = options
    this.node = options.node
    this.#upstreams = options.node.upstreams === null ? null : new Set(options.node.upstreams)
    this.clusters = new ClusterSet(this)
    this.listeners = new ListenerSet(this)
    this.refresh(options.mesh.revision)
  }

  /** Whether the service exists and is one that the sidecar calls. */
  calls(service: string): boolean {
    const wanted = this.#upstreams === null || this.#upstreams.has(service)
    return wanted && this.#options.services.has(service)
  }

  *upstreamNames(): Generator<string> {
    const { services } = this.#options
    for (const name of this.#upstreams ?? services.names()) if (services.has(name)) yield name
  }

  serviceCluster(name: string): XdsResource | undefined {
    const { services, policies } = this.#options
    return services.cluster(name, policies.variantOf(this.node.service))
  }

  ownCluster(name: string): XdsResource | undefined {
    return this.#own.clusters.get(name)
  }

  ownClusterNames(): Iterable<string> {
    return this.#own.clusters.keys()
  }

  listener(name: string): XdsResource | undefined {
    return this.#own.listeners.get(name)
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

  #build(revision: Revision, before: OwnResources): OwnResources {
    const { mesh, otlp } = this.#options
    const { service, instance: id, outboundPort, inboundPort } = this.node
    const tracing = this.#options.tracing && { ...this.#options.tracing, serviceName: service }
    const clusters = new Map<string, XdsResource>()
    const listeners = new Map<string, XdsResource>()
    if (otlp !== null) clusters.set(otlpCluster, otlp)
    const forTracing = otlp === null ? [] : [otlpCluster]
    listeners.set(
      outboundListener,
      asResource({
        packed: packListener(buildOutboundListener({ port: outboundPort, tracing })),
        revision,
        dependsOn: needs(forTracing),
        before: before.listeners.get(outboundListener),
      }),
    )
    // Until the instance has registered there is nothing behind an inbound listener. Once it is gone, callers may
    // not have heard of it yet: what they still send is served as before.
    const instance = mesh.instance(service, id)
    if (instance === undefined) {
      for (const [name, resource] of before.clusters) clusters.set(name, resource)
      for (const [name, resource] of before.listeners) listeners.set(name, resource)
    } else {
      const port = instance.spec.sidecar?.port ?? inboundPort ?? defaultInboundPort
      const protocol = protocolOf(mesh.service(service))
      clusters.set(
        inboundCluster,
        asResource({
          packed: packCluster(buildInboundCluster({ protocol, appPort: instance.spec.port })),
          revision,
          before: before.clusters.get(inboundCluster),
        }),
      )
      listeners.set(
        inboundListener,
        asResource({
          packed: packListener(
            buildInboundListener({ port, bindAddress: bindAddressFor(instance.spec.address), tracing }),
          ),
          revision,
          dependsOn: needs([inboundCluster, ...forTracing]),
          before: before.listeners.get(inboundListener),
        }),
      )
    }
    return { clusters, listeners }
  }
}
