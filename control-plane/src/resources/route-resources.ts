import type { VirtualHost } from '@envoyproxy/protos/envoy/config/route/v3/route_components.ts'
import { packRoutes } from '@waymark/sidecar-config/envoy/resource.ts'
import { buildRoutes, buildVirtualHost, clustersOfRoutes } from '@waymark/sidecar-config/envoy/routes.ts'
import { routePolicyOf } from '@waymark/sidecar-config/model/traffic-settings.ts'
import type { Revision } from '../domain/revision.ts'
import type { XdsResource } from '../xds/port.ts'
import { clusterType } from '../xds/type-urls.ts'
import { asResource } from './built.ts'
import type { CallerVariant, Policies } from './policies.ts'
import type { ServiceResources } from './service-resources.ts'

/** Which services a group of sidecars calls, and as whom. */
export interface RouteScope {
  /** Sorted; null: every service. */
  readonly upstreams: readonly string[] | null
  readonly caller: CallerVariant
}

interface Table {
  readonly scope: RouteScope
  resource: XdsResource | undefined
  stale: boolean
}

const keyOf = ({ upstreams, caller }: RouteScope): string => JSON.stringify([upstreams, caller])

/** Tables of scopes that nobody has asked for lately go first. */
const tableLimit = 20_000

/**
 * Route configurations, built once per set of upstreams and caller variant; virtual hosts once per service and
 * caller variant. A table that has become stale is built again when it is next asked for.
 */
export class RouteResources {
  readonly #services: ServiceResources
  readonly #policies: Policies
  readonly #tables = new Map<string, Table>()
  readonly #hosts = new Map<string, Map<CallerVariant, VirtualHost>>()

  constructor(options: { readonly services: ServiceResources; readonly policies: Policies }) {
    this.#services = options.services
    this.#policies = options.policies
  }

  table(scope: RouteScope, revision: Revision): XdsResource {
    const key = keyOf(scope)
    let table = this.#tables.get(key)
    if (table === undefined) {
      if (this.#tables.size >= tableLimit) this.#forgetOldest()
      table = { scope, resource: undefined, stale: true }
      this.#tables.set(key, table)
    }
    if (table.resource === undefined || table.stale) {
      table.resource = this.#build(scope, revision, table.resource)
      table.stale = false
    }
    return table.resource
  }

  /** The service has come, gone or changed its routes: its virtual hosts and the tables with it are stale. */
  invalidate(service: string): void {
    this.#hosts.delete(service)
    for (const table of this.#tables.values()) {
      if (table.scope.upstreams === null || table.scope.upstreams.includes(service)) table.stale = true
    }
  }

  clear(): void {
    this.#hosts.clear()
    for (const table of this.#tables.values()) table.stale = true
  }

  #build(
    { upstreams, caller }: RouteScope,
    revision: Revision,
    before: XdsResource | undefined,
  ): XdsResource {
    const services = [...(upstreams ?? this.#services.names())].filter(name => this.#services.has(name))
    const packed = packRoutes(buildRoutes(services.map(service => this.#host(service, caller))))
    const dependsOn = clustersOfRoutes(services).map(name => ({ typeUrl: clusterType, name }))
    return asResource({ packed, revision, before, dependsOn })
  }

  #host(service: string, caller: CallerVariant): VirtualHost {
    let hosts = this.#hosts.get(service)
    if (hosts === undefined) {
      hosts = new Map()
      this.#hosts.set(service, hosts)
    }
    let host = hosts.get(caller)
    if (host === undefined) {
      host = buildVirtualHost({ service, policy: routePolicyOf(this.#policies.settings(service, caller)) })
      hosts.set(caller, host)
    }
    return host
  }

  #forgetOldest(): void {
    const [oldest] = this.#tables.keys()
    if (oldest !== undefined) this.#tables.delete(oldest)
  }
}
