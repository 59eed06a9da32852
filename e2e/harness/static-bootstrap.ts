/** Puts resources that a sidecar gets by xDS into a bootstrap, for an Envoy without a control plane. */
import { buildBootstrap } from '@waymark/sidecar-config/bootstrap/bootstrap.ts'
import type { PackedResource } from '@waymark/sidecar-config/envoy/resource.ts'
import { messageJson } from '@waymark/sidecar-config/envoy/to-json.ts'

export type Json = Readonly<Record<string, unknown>>

interface StaticResources {
  readonly clusters?: readonly Json[]
  readonly listeners?: readonly Json[]
  readonly adminPort?: number
}

/** A resource as it is written in a bootstrap, where its place tells its type. */
export const untyped = ({ '@type': _, ...resource }: Json): Json => resource

export const unpacked = ({ typeUrl, body }: PackedResource): Json => untyped(messageJson(typeUrl, body))

export const emptyCluster = (name: string): Json => ({ name, type: 'STATIC' })

/** A cluster with its endpoints inside, which it would ask for over EDS. */
export const withEndpoints = (cluster: Json, endpoints: Json): Json => {
  const { edsClusterConfig: _, ...rest } = cluster
  return { ...rest, type: 'STATIC', loadAssignment: endpoints }
}

/** A route configuration with its virtual hosts inside, which it would ask for over VHDS. */
export const withHosts = (routes: Json, virtualHosts: readonly Json[]): Json => {
  const { vhds: _, ...rest } = routes
  return { ...rest, virtualHosts }
}

/** A listener with its routes inside, which it would ask for over RDS. */
export const withRoutes = (listener: Json, routes: Json): Json =>
  JSON.parse(JSON.stringify(listener), (_, value: unknown) => {
    if (typeof value !== 'object' || value === null || !('rds' in value)) return value
    const { rds: _rds, ...manager } = value
    return { ...manager, routeConfig: routes }
  }) as Json

/** The bootstrap of a sidecar that has these resources and asks nobody for others. */
export const staticBootstrap = ({ clusters = [], listeners = [], adminPort }: StaticResources): Json => {
  const bootstrap: Json = buildBootstrap({
    service: 'test',
    instance: 'test-1',
    locality: { region: '', zone: '' },
    controlPlane: [{ host: '127.0.0.1', port: 1 }],
    ...(adminPort !== undefined && { adminPort }),
  })
  const own = bootstrap['static_resources'] as { readonly clusters: readonly Json[] }
  const { cds_config: _cds, lds_config: _lds, ...ads } = bootstrap['dynamic_resources'] as Json
  return {
    ...bootstrap,
    // Clusters and listeners are not waited for; what mentions ADS still finds it.
    dynamic_resources: ads,
    static_resources: { clusters: [...own.clusters, ...clusters], listeners },
  }
}
