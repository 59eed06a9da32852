import {
  clusterType,
  endpointType,
  listenerType,
  routeType,
  virtualHostType,
} from '@waymark/control-plane/xds/type-urls.ts'
import { outboundRoutes } from '@waymark/sidecar-config/envoy/names.ts'
import type { DeltaRequests, NodeContent } from './delta-request.ts'
import { eachBytesField, type DeltaResource, type DeltaResponse } from './delta-response.ts'
import type { Http2Stream, Http2StreamOptions, StreamEnd } from './http2-stream.ts'

/** type URL -> name -> version */
export type Held = Map<string, Map<string, string>>

/** What all sidecars of a process share. */
interface SidecarContext {
  readonly requests: DeltaRequests
  readonly open: (options: Http2StreamOptions) => Http2Stream
  /** Reads a response; the same bytes are the same object. */
  readonly read: (message: Buffer) => DeltaResponse
  /** After the ACK was written. */
  onResponse(sidecar: Sidecar, response: DeltaResponse): void
  onConfigured(sidecar: Sidecar): void
  onEnd(sidecar: Sidecar, end: StreamEnd): void
}

export interface SidecarOptions {
  readonly context: SidecarContext
  readonly node: NodeContent
  /** `endpoints`: subscribes to the endpoints of its upstreams and to nothing else. */
  readonly order: 'envoy' | 'endpoints'
  /** Keeps versions, so that it can tell them when it connects again. */
  readonly keep: boolean
  /** Opens a stream of load reports too, and is configured when that has been answered. */
  readonly reports: boolean
}

const loadReportPath = '/envoy.service.load_stats.v3.LoadReportingService/StreamLoadStats'

/** Of a RouteConfiguration: route.proto's field `vhds`. */
const vhdsField = 9

const asksForVirtualHosts = ({ body }: DeltaResource): boolean => {
  let found = false
  eachBytesField(body, number => {
    if (number === vhdsField) found = true
  })
  return found
}

/**
 * One simulated sidecar with a connection of its own: delta ADS in Envoy's order, an ACK for each response.
 * Clusters by wildcard, their endpoints by name, then listeners, routes and, if these ask for them, virtual hosts.
 */
export class Sidecar {
  /** Service -> the highest numbered change that it has; for `ChangeReceipts`. */
  readonly changes = new Map<string, number>()
  readonly #options: SidecarOptions
  readonly #held: Held = new Map()
  /** Names of endpoints. */
  readonly #subscribed = new Set<string>()
  /** Those of them that have not come yet. */
  readonly #cold = new Set<string>()
  #stream: Http2Stream | null = null
  #listeners = false
  #configured = false
  #reporting = false

  constructor(options: SidecarOptions) {
    this.#options = options
  }

  get connected(): boolean {
    return this.#stream !== null
  }

  /** With what it holds, if it was told to keep that and was connected before. */
  connect(address: { readonly host: string; readonly port: number }): void {
    const { context, order, node, reports } = this.#options
    this.#listeners = false
    this.#configured = false
    this.#reporting = false
    this.#cold.clear()
    this.#subscribed.clear()
    for (const name of this.#held.get(endpointType)?.keys() ?? []) this.#subscribed.add(name)
    this.#stream = context.open({
      ...address,
      path: '/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources',
      onMessage: message => {
        this.#receive(context.read(message))
      },
      onEnd: end => {
        this.#stream = null
        context.onEnd(this, end)
      },
      beside: reports
        ? {
            path: loadReportPath,
            message: () => context.requests.loadReport(node),
            onMessage: () => {
              this.#asked()
            },
          }
        : undefined,
    })
    if (order === 'endpoints') this.#firstEndpoints()
    else if (this.#held.size > 0) this.#again()
    else this.#first({ typeUrl: clusterType })
  }

  close(): void {
    this.#stream?.close()
    this.#stream = null
  }

  #first(content: Parameters<DeltaRequests['next']>[0]): void {
    const { context, node } = this.#options
    this.#stream?.send(context.requests.first(node, content))
  }

  #send(content: Parameters<DeltaRequests['next']>[0]): void {
    this.#stream?.send(this.#options.context.requests.next(content))
  }

  #firstEndpoints(): void {
    const { upstreams } = this.#options.node
    for (const name of upstreams ?? []) this.#cold.add(name)
    const held = this.#held.get(endpointType)
    this.#first({ typeUrl: endpointType, subscribe: upstreams ?? [], ...(held && { held }) })
  }

  /** All types at once, each with what is held. */
  #again(): void {
    const of = (typeUrl: string) => this.#held.get(typeUrl) ?? new Map<string, string>()
    const named = (typeUrl: string) => ({ typeUrl, subscribe: [...of(typeUrl).keys()], held: of(typeUrl) })
    this.#listeners = true
    this.#first({ typeUrl: clusterType, held: of(clusterType) })
    this.#send(named(endpointType))
    this.#send({ typeUrl: listenerType, held: of(listenerType) })
    this.#send(named(routeType))
    if (this.#held.has(virtualHostType)) this.#send({ typeUrl: virtualHostType, held: of(virtualHostType) })
    this.#done()
  }

  #receive(response: DeltaResponse): void {
    const { context, keep } = this.#options
    const { typeUrl, nonce, resources, removed } = response
    if (keep) this.#keep(response)
    // Envoy subscribes to the endpoints of new clusters before it ACKs these.
    if (typeUrl === clusterType) this.#endpointsOf(response)
    this.#stream?.send(context.requests.ack(typeUrl, nonce))
    if (typeUrl === endpointType && this.#cold.size > 0) {
      for (const { name } of resources) this.#cold.delete(name)
      for (const name of removed) this.#cold.delete(name)
    }
    if (!this.#configured) this.#proceed(response)
    context.onResponse(this, response)
  }

  #endpointsOf({ resources, removed }: DeltaResponse): void {
    const subscribe: string[] = []
    const unsubscribe: string[] = []
    for (const { name } of resources) {
      // What is the sidecar's own begins with an underscore and takes no endpoints.
      if (name.startsWith('_') || this.#subscribed.has(name)) continue
      this.#subscribed.add(name)
      this.#cold.add(name)
      subscribe.push(name)
    }
    for (const name of removed) if (this.#subscribed.delete(name)) unsubscribe.push(name)
    if (subscribe.length + unsubscribe.length > 0)
      this.#send({ typeUrl: endpointType, subscribe, unsubscribe })
  }

  #proceed({ typeUrl, resources }: DeltaResponse): void {
    if (this.#options.order === 'endpoints') {
      if (this.#cold.size === 0) this.#done()
      return
    }
    if (!this.#listeners && this.#cold.size === 0) {
      this.#listeners = true
      this.#send({ typeUrl: listenerType })
    }
    if (typeUrl === listenerType) this.#send({ typeUrl: routeType, subscribe: [outboundRoutes] })
    if (typeUrl === routeType) {
      if (resources.some(asksForVirtualHosts)) this.#send({ typeUrl: virtualHostType })
      else this.#done()
    }
    if (typeUrl === virtualHostType) this.#done()
  }

  #done(): void {
    if (this.#configured) return
    this.#configured = true
    const { context, reports } = this.#options
    if (reports) this.#stream?.openBeside()
    else context.onConfigured(this)
  }

  /** The control plane has said which load it wants to know; it may say so again. */
  #asked(): void {
    if (this.#reporting) return
    this.#reporting = true
    this.#options.context.onConfigured(this)
  }

  #keep({ typeUrl, resources, removed }: DeltaResponse): void {
    let versions = this.#held.get(typeUrl)
    if (versions === undefined) {
      versions = new Map()
      this.#held.set(typeUrl, versions)
    }
    for (const { name, version } of resources) versions.set(name, version)
    for (const name of removed) versions.delete(name)
  }
}
