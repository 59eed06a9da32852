import type { ConfigSource } from '@envoyproxy/protos/envoy/config/core/v3/config_source.ts'
import type { Listener } from '@envoyproxy/protos/envoy/config/listener/v3/listener.ts'
import { RouteConfiguration } from '@envoyproxy/protos/envoy/config/route/v3/route.ts'
import { HttpConnectionManager } from '@envoyproxy/protos/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.ts'
import type { MemoryChange, MemoryResource } from '@waymark/control-plane/xds/memory-source.ts'
import { clusterType, endpointType } from '@waymark/control-plane/xds/type-urls.ts'
import { buildCluster } from '@waymark/sidecar-config/envoy/cluster.ts'
import { buildEndpoints } from '@waymark/sidecar-config/envoy/endpoints.ts'
import { buildOutboundListener } from '@waymark/sidecar-config/envoy/outbound.ts'
import {
  packCluster,
  packEndpoints,
  packListener,
  packRoutes,
} from '@waymark/sidecar-config/envoy/resource.ts'
import { effectivePolicy } from '@waymark/sidecar-config/model/effective-policy.ts'
import { clusterPolicyOf } from '@waymark/sidecar-config/model/traffic-settings.ts'

export interface SmallCluster {
  /** Of the application. */
  readonly port: number
  readonly connect: '1s' | '2s'
}

export interface SmallMeshOptions {
  /** Of Envoy's listener. */
  readonly port: number
  /** Where Envoy finds endpoints and routes. */
  readonly source: ConfigSource
  /** The TTL of clusters. */
  readonly clusterTtlMs?: number
}

/** A few clusters, and hosts that are routed to them, as the resources of one Envoy. */
export class SmallMesh {
  readonly clusters = new Map<string, SmallCluster>()
  /** Host to its cluster. */
  readonly hosts = new Map<string, string>()
  readonly #options: SmallMeshOptions
  #served: readonly MemoryResource[] = []

  constructor(options: SmallMeshOptions) {
    this.#options = options
  }

  /** The whole state, as what has changed since this was last asked. */
  change(): MemoryChange {
    const put = this.#resources()
    const kept = new Set(put.map(keyOf))
    const remove = this.#served.filter(resource => !kept.has(keyOf(resource)))
    this.#served = put
    return { put, remove }
  }

  #resources(): MemoryResource[] {
    const { source, port, clusterTtlMs } = this.#options
    const routes = RouteConfiguration.fromPartial({
      name: 'outbound',
      virtualHosts: [...this.hosts].map(([host, cluster]) => ({
        name: host,
        domains: [host],
        routes: [{ match: { prefix: '/' }, route: { cluster } }],
      })),
    })
    return [
      ...[...this.clusters].flatMap(([name, cluster]): MemoryResource[] => [
        {
          ...packCluster(withSource(name, cluster, source)),
          dependsOn: [{ typeUrl: endpointType, name }],
          ...(clusterTtlMs !== undefined && { ttlMs: clusterTtlMs }),
        },
        packEndpoints(endpointsOf(name, cluster)),
      ]),
      packListener(listenerWith(source, port)),
      {
        ...packRoutes(routes),
        dependsOn: [...this.hosts.values()].map(name => ({ typeUrl: clusterType, name })),
      },
    ]
  }
}

const keyOf = ({ typeUrl, name }: MemoryResource): string => `${typeUrl} ${name}`

const withSource = (service: string, { connect }: SmallCluster, edsConfig: ConfigSource) => {
  const { settings } = effectivePolicy({ caller: null, destination: service, documents: [] })
  const policy = clusterPolicyOf({ ...settings, timeouts: { ...settings.timeouts, connect } })
  const cluster = buildCluster({ service, protocol: 'http', policy })
  return { ...cluster, edsClusterConfig: { serviceName: '', edsConfig } }
}

const endpointsOf = (service: string, { port }: SmallCluster) =>
  buildEndpoints({
    service,
    endpoints: [
      {
        id: `app-${port}`,
        address: '127.0.0.1',
        port,
        weight: 1,
        health: 'HEALTHY',
        locality: { region: '', zone: '' },
      },
    ],
  })

/** The outbound listener of a sidecar with its routes from elsewhere. */
const listenerWith = (configSource: ConfigSource, port: number): Listener => {
  const listener = buildOutboundListener({ port, tracing: null })
  for (const { typedConfig } of listener.filterChains.flatMap(({ filters }) => filters)) {
    if (typedConfig === undefined) continue
    const manager = HttpConnectionManager.decode(typedConfig.value)
    manager.rds = { configSource, routeConfigName: 'outbound' }
    typedConfig.value = Buffer.from(HttpConnectionManager.encode(manager).finish())
  }
  return listener
}
