import { Client, credentials, type ClientDuplexStream, type StatusObject } from '@grpc/grpc-js'
import type { Node } from '@envoyproxy/protos/envoy/config/core/v3/base.ts'
import { Cluster, Cluster_DiscoveryType } from '@envoyproxy/protos/envoy/config/cluster/v3/cluster.ts'
import { Listener } from '@envoyproxy/protos/envoy/config/listener/v3/listener.ts'
import {
  DeltaDiscoveryRequest,
  DeltaDiscoveryResponse,
  type Resource,
} from '@envoyproxy/protos/envoy/service/discovery/v3/discovery.ts'
import { HttpConnectionManager } from '@envoyproxy/protos/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.ts'
import { machineTime } from './machine-time.ts'
import {
  clusterType,
  endpointType,
  listenerType,
  routeType,
  virtualHostType,
} from '@waymark/control-plane/xds/type-urls.ts'

const method = '/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources'
const managerType =
  'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager'

/** name -> version, per type URL: what a sidecar holds, and what it tells when it connects again. */
export type Held = ReadonlyMap<string, ReadonlyMap<string, string>>

interface XdsResponseSeen {
  readonly typeUrl: string
  readonly resources: readonly Resource[]
  readonly removed: readonly string[]
  /** See `machineTime`. */
  readonly at: number
}

export interface XdsClientOptions {
  readonly address: string
  readonly node: Node
  /** From an earlier stream: the client says what it holds, as Envoy does. */
  readonly held?: Held
  readonly onResponse?: (response: XdsResponseSeen) => void
}

/**
 * One simulated sidecar: delta ADS on a connection of its own, in Envoy's order. Clusters by wildcard, their
 * endpoints by name, then listeners by wildcard, then the route configurations that these name, then virtual hosts
 * by wildcard. ACKs everything.
 */
export class XdsClient {
  resourceBytes = 0
  resources = 0
  responses = 0
  readonly #options: XdsClientOptions
  readonly #client: Client
  readonly #stream: ClientDuplexStream<DeltaDiscoveryRequest, DeltaDiscoveryResponse>
  readonly #held = new Map<string, Map<string, string>>()
  readonly #subscribed = new Map<string, Set<string>>()
  /** Cluster -> the name of its endpoints, for clusters that take them by EDS. */
  readonly #endpointsOf = new Map<string, string>()
  readonly #ended: Promise<StatusObject>
  #nodeSent = false
  #configured: () => void = () => undefined
  /** Resolves when the first virtual hosts have come: Envoy would begin to serve. */
  readonly configured: Promise<void>

  constructor(options: XdsClientOptions) {
    this.#options = options
    for (const [typeUrl, versions] of options.held ?? []) this.#held.set(typeUrl, new Map(versions))
    for (const name of this.#held.get(endpointType)?.keys() ?? []) this.#endpointsOf.set(name, name)
    this.configured = new Promise(resolve => {
      this.#configured = resolve
    })
    this.#client = new Client(options.address, credentials.createInsecure(), {
      'grpc.use_local_subchannel_pool': 1,
      'grpc.max_receive_message_length': 64 * 1_024 * 1_024,
    })
    this.#stream = this.#client.makeBidiStreamRequest(
      method,
      (request: DeltaDiscoveryRequest) => Buffer.from(DeltaDiscoveryRequest.encode(request).finish()),
      bytes => DeltaDiscoveryResponse.decode(bytes),
    )
    this.#ended = new Promise(resolve => {
      this.#stream.on('status', resolve)
    })
    // The status says the same.
    this.#stream.on('error', () => undefined)
    this.#stream.on('data', (response: DeltaDiscoveryResponse) => {
      this.#receive(response)
    })
    this.#firstRequests()
  }

  /** Resolves with the status with which the stream ended. */
  get ended(): Promise<StatusObject> {
    return this.#ended
  }

  held(): Held {
    return new Map([...this.#held].map(([typeUrl, versions]) => [typeUrl, new Map(versions)]))
  }

  #send(request: Partial<DeltaDiscoveryRequest> & { readonly typeUrl: string }): void {
    this.#stream.write(
      DeltaDiscoveryRequest.fromPartial({
        ...request,
        ...(this.#nodeSent ? {} : { node: this.#options.node }),
      }),
    )
    this.#nodeSent = true
  }

  async close(): Promise<void> {
    this.#stream.cancel()
    await this.#ended
    this.#client.close()
  }

  #firstRequests(): void {
    if (this.#held.size === 0) {
      this.#send({ typeUrl: clusterType })
      return
    }
    for (const typeUrl of [clusterType, endpointType, listenerType, routeType, virtualHostType]) {
      const versions = this.#held.get(typeUrl) ?? new Map<string, string>()
      const wildcard = typeUrl !== endpointType && typeUrl !== routeType
      this.#subscribed.set(typeUrl, new Set(wildcard ? ['*'] : versions.keys()))
      this.#send({
        typeUrl,
        resourceNamesSubscribe: wildcard ? [] : [...versions.keys()],
        initialResourceVersions: Object.fromEntries(versions),
      })
    }
    this.#configured()
  }

  #receive(response: DeltaDiscoveryResponse): void {
    const at = machineTime()
    const { typeUrl, resources, removedResources: removed, nonce } = response
    this.responses += 1
    this.resources += resources.length
    for (const { resource } of resources) this.resourceBytes += resource?.value.length ?? 0
    this.#options.onResponse?.({ typeUrl, resources, removed, at })
    const held = this.#held.get(typeUrl) ?? new Map<string, string>()
    this.#held.set(typeUrl, held)
    for (const { name, version } of resources) held.set(name, version)
    for (const name of removed) held.delete(name)
    // Envoy subscribes to the endpoints of new clusters before it ACKs these.
    if (typeUrl === clusterType) this.#clusters(resources, removed)
    this.#send({ typeUrl, responseNonce: nonce })
    if (!this.#subscribed.has(listenerType) && this.#warm()) {
      this.#subscribed.set(listenerType, new Set(['*']))
      this.#send({ typeUrl: listenerType })
    }
    if (typeUrl === listenerType) this.#follow(routeType, routesOf(resources))
    if (typeUrl === routeType && !this.#subscribed.has(virtualHostType)) {
      this.#subscribed.set(virtualHostType, new Set(['*']))
      this.#send({ typeUrl: virtualHostType })
    }
    if (typeUrl === virtualHostType && resources.length + removed.length > 0) this.#configured()
  }

  #clusters(resources: readonly Resource[], removed: readonly string[]): void {
    for (const { name, resource } of resources) {
      const cluster = Cluster.decode(resource?.value ?? new Uint8Array())
      if (cluster.type !== Cluster_DiscoveryType.EDS) this.#endpointsOf.delete(name)
      else this.#endpointsOf.set(name, cluster.edsClusterConfig?.serviceName || name)
    }
    for (const name of removed) this.#endpointsOf.delete(name)
    this.#follow(endpointType, new Set(this.#endpointsOf.values()))
  }

  #warm(): boolean {
    const endpoints = this.#held.get(endpointType)
    return [...this.#endpointsOf.values()].every(name => endpoints?.has(name))
  }

  #follow(typeUrl: string, wanted: ReadonlySet<string>): void {
    const subscribed = this.#subscribed.get(typeUrl) ?? new Set<string>()
    this.#subscribed.set(typeUrl, subscribed)
    const subscribe = [...wanted].filter(name => !subscribed.has(name))
    const unsubscribe = typeUrl === endpointType ? [...subscribed].filter(name => !wanted.has(name)) : []
    for (const name of subscribe) subscribed.add(name)
    for (const name of unsubscribe) {
      subscribed.delete(name)
      this.#held.get(typeUrl)?.delete(name)
    }
    if (subscribe.length + unsubscribe.length === 0) return
    this.#send({ typeUrl, resourceNamesSubscribe: subscribe, resourceNamesUnsubscribe: unsubscribe })
  }
}

/** The route configurations that listeners take by RDS. */
const routesOf = (resources: readonly Resource[]): Set<string> => {
  const names = new Set<string>()
  for (const { resource } of resources) {
    if (resource === undefined) continue
    const listener = Listener.decode(resource.value)
    const chains = [
      ...listener.filterChains,
      ...(listener.defaultFilterChain ? [listener.defaultFilterChain] : []),
    ]
    for (const { typedConfig } of chains.flatMap(({ filters }) => filters)) {
      if (typedConfig?.typeUrl !== managerType) continue
      const name = HttpConnectionManager.decode(typedConfig.value).rds?.routeConfigName
      if (name !== undefined && name !== '') names.add(name)
    }
  }
  return names
}
