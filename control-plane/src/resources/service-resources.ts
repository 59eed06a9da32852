import { buildCluster } from '@waymark/sidecar-config/envoy/cluster.ts'
import { buildEndpoints } from '@waymark/sidecar-config/envoy/endpoints.ts'
import { packCluster, packEndpoints, packVirtualHost } from '@waymark/sidecar-config/envoy/resource.ts'
import { buildVirtualHost } from '@waymark/sidecar-config/envoy/routes.ts'
import type { Protocol, ServiceSpec } from '@waymark/sidecar-config/model/service.ts'
import { clusterPolicyOf, routePolicyOf } from '@waymark/sidecar-config/model/traffic-settings.ts'
import type { FollowedMesh } from '../mesh/mesh-state.ts'
import type { ServiceState } from '../mesh/mesh-view.ts'
import type { XdsResource } from '../xds/port.ts'
import { clusterType, endpointType } from '../xds/type-urls.ts'
import { asResource } from './built.ts'
import { endpointsOf } from './instance-endpoints.ts'
import type { Policies, PolicyScope } from './policies.ts'
import { Variants } from './variants.ts'

export const protocolOf = (service: ServiceState | undefined): Protocol =>
  // Documents were validated before they were written.
  (service?.document?.spec as ServiceSpec | undefined)?.protocol ?? 'http'

interface Entry {
  /** undefined: not asked for yet. */
  endpoints: XdsResource | undefined
  /** The instances have changed since the endpoints were built. */
  stale: boolean
  readonly clusters: Variants
  readonly hosts: Variants
}

/**
 * The cluster, the virtual host and the endpoints of each service: endpoints for all sidecars, the others once for
 * each caller that has policies of its own for the service and once for all others. Each is built when somebody
 * asks, at most once per version.
 */
export class ServiceResources {
  readonly #mesh: FollowedMesh
  readonly #policies: Policies
  readonly #entries = new Map<string, Entry>()

  constructor(options: { readonly mesh: FollowedMesh; readonly policies: Policies }) {
    this.#mesh = options.mesh
    this.#policies = options.policies
  }

  has(service: string): boolean {
    return this.#entries.has(service)
  }

  names(): Iterable<string> {
    return this.#entries.keys()
  }

  endpoints(name: string): XdsResource | undefined {
    const entry = this.#entries.get(name)
    const service = this.#mesh.service(name)
    if (entry === undefined || service === undefined) return undefined
    if (entry.endpoints === undefined || entry.stale) {
      entry.endpoints = this.#buildEndpoints(service, entry.endpoints)
      entry.stale = false
    }
    return entry.endpoints
  }

  /** As this caller gets it. */
  cluster(name: string, caller: string): XdsResource | undefined {
    const variant = this.#policies.variantOf(name, caller)
    return this.#entries.get(name)?.clusters.get(variant, before => {
      const protocol = protocolOf(this.#mesh.service(name))
      const policy = clusterPolicyOf(this.#policies.settings(name, variant))
      const packed = packCluster(buildCluster({ service: name, protocol, policy }))
      const dependsOn = [{ typeUrl: endpointType, name }]
      return asResource({ packed, revision: this.#mesh.revision, before, dependsOn })
    })
  }

  /** As this caller gets it. */
  virtualHost(name: string, caller: string): XdsResource | undefined {
    const variant = this.#policies.variantOf(name, caller)
    return this.#entries.get(name)?.hosts.get(variant, before => {
      const policy = routePolicyOf(this.#policies.settings(name, variant))
      const packed = packVirtualHost(buildVirtualHost({ service: name, policy }))
      const dependsOn = [{ typeUrl: clusterType, name }]
      return asResource({ packed, revision: this.#mesh.revision, before, dependsOn })
    })
  }

  /** Follows the mesh: the service's instances have changed, or it has come or gone. */
  touch(name: string): void {
    const entry = this.#entries.get(name)
    if (this.#mesh.service(name) === undefined) this.#entries.delete(name)
    else if (entry === undefined) {
      this.#entries.set(name, {
        endpoints: undefined,
        stale: true,
        clusters: new Variants(),
        hosts: new Variants(),
      })
    } else entry.stale = true
  }

  /** The service's document or a policy for these calls has changed. */
  touchShape({ destination, caller }: PolicyScope): void {
    const entry = this.#entries.get(destination)
    const exists = (variant: string): boolean => this.#policies.variantOf(destination, variant) === variant
    entry?.clusters.touch(caller, exists)
    entry?.hosts.touch(caller, exists)
  }

  #buildEndpoints(service: ServiceState, before: XdsResource | undefined): XdsResource {
    const packed = packEndpoints(buildEndpoints({ service: service.name, endpoints: endpointsOf(service) }))
    return asResource({ packed, revision: this.#mesh.revision, before })
  }
}
