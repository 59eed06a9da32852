import type { Revision } from '../domain/revision.ts'
import type { FollowedMesh } from '../mesh/mesh-state.ts'
import type { ResourceSetChange, XdsNode, XdsView } from '../xds/port.ts'
import { clusterType, endpointType, listenerType, routeType } from '../xds/type-urls.ts'
import { LiveSet } from './live-set.ts'
import type { Policies, PolicyScope } from './policies.ts'
import { callerOf } from './proxyless-node.ts'
import { ProxylessResources } from './proxyless-resources.ts'

/** What depends on who calls. */
class CallerSets {
  users = 0
  readonly clusters: LiveSet
  readonly routes: LiveSet

  constructor(resources: ProxylessResources, caller: string) {
    this.clusters = new LiveSet({ get: name => resources.cluster(name, caller) })
    this.routes = new LiveSet({ get: name => resources.routes(name, caller) })
  }

  /** Clusters and routes have the same names. */
  notify(change: ResourceSetChange): void {
    this.clusters.notify(change)
    this.routes.notify(change)
  }
}

/**
 * What gRPC programs without a sidecar see. They name every resource that they want, so no wildcard covers
 * anything here, and none of it is in the view of a sidecar. Listeners and endpoints are the same for
 * all of them; clusters and routes depend on who calls.
 */
export class ProxylessViews {
  readonly #resources: ProxylessResources
  readonly #callers = new Map<string, CallerSets>()
  /** Constant. */
  readonly #listeners: LiveSet
  readonly #endpoints: LiveSet

  constructor(options: { readonly mesh: FollowedMesh; readonly policies: Policies }) {
    const resources = new ProxylessResources(options)
    this.#resources = resources
    this.#listeners = new LiveSet({ get: name => resources.listener(name) })
    this.#endpoints = new LiveSet({ get: name => resources.endpoints(name) })
  }

  /** Throws XdsRefusedError. */
  open(node: XdsNode): XdsView {
    const caller = callerOf(node)
    const sets = this.#callers.get(caller) ?? this.#openCaller(caller)
    sets.users += 1
    const byType = new Map([
      [listenerType, this.#listeners],
      [routeType, sets.routes],
      [clusterType, sets.clusters],
      [endpointType, this.#endpoints],
    ])
    return {
      set: typeUrl => byType.get(typeUrl),
      close: () => {
        sets.users -= 1
        if (sets.users === 0) this.#callers.delete(caller)
      },
    }
  }

  /** `endpoints`: services whose instances have changed; `shapes`: calls whose policy or service has. */
  tell(
    touched: { readonly endpoints: Iterable<string>; readonly shapes: Iterable<PolicyScope> },
    revision: Revision,
  ): void {
    const shapes = [...touched.shapes]
    for (const scope of shapes) this.#resources.touchShape(scope)
    const ofAllCallers = shapes.flatMap(({ destination, caller }) => (caller === null ? [destination] : []))
    // The panic threshold of a policy is part of the endpoints.
    const services = [...new Set([...touched.endpoints, ...ofAllCallers])]
    const endpoints = services.flatMap(service => this.#resources.touchEndpoints(service))
    if (endpoints.length > 0) this.#endpoints.notify({ revision, names: endpoints })
    if (ofAllCallers.length > 0) {
      for (const sets of this.#callers.values()) sets.notify({ revision, names: ofAllCallers })
    }
    for (const { destination, caller } of shapes) {
      if (caller !== null) this.#callers.get(caller)?.notify({ revision, names: [destination] })
    }
  }

  #openCaller(caller: string): CallerSets {
    const sets = new CallerSets(this.#resources, caller)
    this.#callers.set(caller, sets)
    return sets
  }
}
