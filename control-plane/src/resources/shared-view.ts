import { clusterType, endpointType, listenerType, routeType, virtualHostType } from '../xds/type-urls.ts'
import type { CallScope } from './call-scope.ts'
import type { LiveSet } from './live-set.ts'
import type { SidecarNode } from './sidecar-node.ts'
import type { SidecarView } from './sidecar-view.ts'

/** What the streams of one sidecar have in common. */
export class SharedView {
  readonly view: SidecarView
  readonly scope: CallScope
  /** How many streams there are. */
  users = 0
  /** Of every service, for all sidecars. */
  readonly #endpoints: LiveSet
  readonly #routes: LiveSet

  constructor(options: {
    readonly view: SidecarView
    readonly scope: CallScope
    readonly endpoints: LiveSet
    readonly routes: LiveSet
  }) {
    this.view = options.view
    this.scope = options.scope
    this.#endpoints = options.endpoints
    this.#routes = options.routes
  }

  /** Whether it is that of this sidecar, of those that front the same instance. */
  isOf({ outboundPort, inboundPort, onDemand, upstreams }: SidecarNode): boolean {
    const { node } = this.view
    return (
      node.outboundPort === outboundPort &&
      node.inboundPort === inboundPort &&
      node.onDemand === onDemand &&
      sameNames(node.upstreams, upstreams)
    )
  }

  set(typeUrl: string): LiveSet | undefined {
    if (typeUrl === clusterType) return this.view.clusters
    if (typeUrl === endpointType) return this.#endpoints
    if (typeUrl === listenerType) return this.view.listeners
    if (typeUrl === routeType) return this.#routes
    return typeUrl === virtualHostType ? this.scope.virtualHosts : undefined
  }
}

/** Both are sorted. */
const sameNames = (one: readonly string[] | null, two: readonly string[] | null): boolean =>
  one === two || (one?.length === two?.length && one?.every((name, index) => name === two?.[index]) === true)
