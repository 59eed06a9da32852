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
import type { CallScope } from './call-scope.ts'
import { LiveSet } from './live-set.ts'
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
  readonly scope: CallScope
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
  #own: OwnResources = { clusters: new Map(), listeners: new Map() }

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

  #build(revision: Revision, before: OwnResources): OwnResources {
    const { mesh, otlp } = this.#options
    const { service, instance: id, outboundPort, inboundPort, onDemand } = this.node
    const tracing = this.#options.tracing && { ...this.#options.tracing, serviceName: service }
    const clusters = new Map<string, XdsResource>()
    const listeners = new Map<string, XdsResource>()
    if (otlp !== null) clusters.set(otlpCluster, otlp)
    const forTracing = otlp === null ? [] : [otlpCluster]
    listeners.set(
      outboundListener,
      asResource({
        packed: packListener(buildOutboundListener({ port: outboundPort, tracing, onDemand })),
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
