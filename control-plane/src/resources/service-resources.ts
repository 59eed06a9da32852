import { buildCluster } from '@waymark/sidecar-config/envoy/cluster.ts'
import { buildEndpoints, type EndpointHealth } from '@waymark/sidecar-config/envoy/endpoints.ts'
import { packCluster, packEndpoints } from '@waymark/sidecar-config/envoy/resource.ts'
import type { Protocol, ServiceSpec } from '@waymark/sidecar-config/model/service.ts'
import { clusterPolicyOf } from '@waymark/sidecar-config/model/traffic-settings.ts'
import type { Revision } from '../domain/revision.ts'
import type { Verdict } from '../domain/verdict.ts'
import type { MeshState, ServiceState } from '../mesh/mesh-state.ts'
import type { XdsResource } from '../xds/port.ts'
import { endpointType } from '../xds/type-urls.ts'
import { asResource } from './built.ts'
import type { CallerVariant, Policies } from './policies.ts'

/** Maintenance is a drain to Envoy; `unknown` is routed like healthy (registry.md, "Verdict"). */
const health: Readonly<Record<Verdict, EndpointHealth>> = {
  healthy: 'HEALTHY',
  degraded: 'DEGRADED',
  unhealthy: 'UNHEALTHY',
  draining: 'DRAINING',
  maintenance: 'DRAINING',
  unknown: 'UNKNOWN',
}

export const protocolOf = (service: ServiceState | undefined): Protocol =>
  // Documents were validated before they were written.
  (service?.document?.spec as ServiceSpec | undefined)?.protocol ?? 'http'

interface Entry {
  /** undefined: not asked for yet. */
  endpoints: XdsResource | undefined
  /** The instances have changed since the endpoints were built. */
  stale: boolean
  readonly clusters: Map<CallerVariant, XdsResource>
}

/**
 * The cluster and the endpoints of each service: endpoints for all sidecars, clusters once for each caller that
 * has policies of its own and once for all others. Each is built when somebody asks, at most once per version:
 * changes that come while no sidecar can take them cost nothing but a mark.
 */
export class ServiceResources {
  readonly #mesh: MeshState
  readonly #policies: Policies
  readonly #entries = new Map<string, Entry>()

  constructor(options: { readonly mesh: MeshState; readonly policies: Policies }) {
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

  /** Built when it is first asked for. */
  cluster(service: string, caller: CallerVariant): XdsResource | undefined {
    const entry = this.#entries.get(service)
    if (entry === undefined) return undefined
    let cluster = entry.clusters.get(caller)
    if (cluster === undefined) {
      cluster = this.#buildCluster(service, caller, this.#mesh.revision, undefined)
      entry.clusters.set(caller, cluster)
    }
    return cluster
  }

  /** Follows the mesh: the service's instances have changed, or it has come or gone. */
  touch(name: string): void {
    const entry = this.#entries.get(name)
    if (this.#mesh.service(name) === undefined) this.#entries.delete(name)
    else if (entry === undefined) {
      this.#entries.set(name, { endpoints: undefined, stale: true, clusters: new Map() })
    } else entry.stale = true
  }

  /** Builds the clusters of a service anew, after its document or a policy has changed. */
  refreshClusters(service: string, revision: Revision): void {
    const clusters = this.#entries.get(service)?.clusters
    for (const [caller, before] of clusters ?? []) {
      if (this.#policies.variantOf(caller) !== caller) clusters?.delete(caller)
      else clusters?.set(caller, this.#buildCluster(service, caller, revision, before))
    }
  }

  #buildEndpoints(service: ServiceState, before: XdsResource | undefined): XdsResource {
    const endpoints = [...service.instances.values()].map(({ id, spec, verdict }) => ({
      id,
      address: spec.address,
      port: spec.sidecar?.port ?? spec.port,
      weight: spec.weight,
      health: health[verdict],
      locality: spec.locality,
    }))
    const packed = packEndpoints(buildEndpoints({ service: service.name, endpoints }))
    return asResource({ packed, revision: this.#mesh.revision, before })
  }

  #buildCluster(
    name: string,
    caller: CallerVariant,
    revision: Revision,
    before: XdsResource | undefined,
  ): XdsResource {
    const protocol = protocolOf(this.#mesh.service(name))
    const policy = clusterPolicyOf(this.#policies.settings(name, caller))
    const packed = packCluster(buildCluster({ service: name, protocol, policy }))
    return asResource({ packed, revision, before, dependsOn: [{ typeUrl: endpointType, name }] })
  }
}
