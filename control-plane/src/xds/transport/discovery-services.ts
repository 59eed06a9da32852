import type { Server } from '@grpc/grpc-js'
import type { XdsCall } from './stream-context.ts'
import {
  clusterType,
  endpointType,
  listenerType,
  routeType,
  secretType,
  virtualHostType,
} from '../type-urls.ts'
import { withoutCodecs } from './without-codecs.ts'

/** One streaming method of a discovery service. */
export interface DiscoveryService {
  /** As in the HTTP/2 request: `/package.Service/Method`. */
  readonly path: string
  readonly form: 'delta' | 'sotw'
  /** The only type of its streams; undefined: any (ADS). */
  readonly typeUrl: string | undefined
}

const service = (
  name: string,
  methods: { readonly delta: string; readonly sotw?: string },
  typeUrl?: string,
): DiscoveryService[] => {
  const path = (method: string): string => `/envoy.service.${name}/${method}`
  const delta = { path: path(methods.delta), form: 'delta', typeUrl } as const
  return methods.sotw === undefined ? [delta] : [delta, { path: path(methods.sotw), form: 'sotw', typeUrl }]
}

/**
 * The services of `envoy/service/*` that are served. Clusters on demand come by the delta method of CDS. The unary
 * methods (`Fetch...`) are those of REST polling; they answer UNIMPLEMENTED.
 */
export const discoveryServices: readonly DiscoveryService[] = [
  ...service('discovery.v3.AggregatedDiscoveryService', {
    delta: 'DeltaAggregatedResources',
    sotw: 'StreamAggregatedResources',
  }),
  ...service(
    'cluster.v3.ClusterDiscoveryService',
    { delta: 'DeltaClusters', sotw: 'StreamClusters' },
    clusterType,
  ),
  ...service(
    'endpoint.v3.EndpointDiscoveryService',
    { delta: 'DeltaEndpoints', sotw: 'StreamEndpoints' },
    endpointType,
  ),
  ...service(
    'listener.v3.ListenerDiscoveryService',
    { delta: 'DeltaListeners', sotw: 'StreamListeners' },
    listenerType,
  ),
  ...service('route.v3.RouteDiscoveryService', { delta: 'DeltaRoutes', sotw: 'StreamRoutes' }, routeType),
  ...service('route.v3.VirtualHostDiscoveryService', { delta: 'DeltaVirtualHosts' }, virtualHostType),
  ...service(
    'secret.v3.SecretDiscoveryService',
    { delta: 'DeltaSecrets', sotw: 'StreamSecrets' },
    secretType,
  ),
]

/** Take the streams of one form; `typeUrl`: the only type of the service, undefined: any. */
export interface DiscoveryHandlers {
  delta(call: XdsCall, typeUrl: string | undefined): void
  sotw(call: XdsCall, typeUrl: string | undefined): void
}

/**
 * Adds the services without codecs: requests are decoded when their turn comes, responses are prepared bytes.
 */
export function addDiscoveryServices(server: Server, handlers: DiscoveryHandlers): void {
  for (const { path, form, typeUrl } of discoveryServices) {
    const definition = {
      path,
      requestStream: true,
      responseStream: true,
      ...withoutCodecs,
    } as const
    const stream = (call: XdsCall): void => {
      handlers[form](call, typeUrl)
    }
    server.addService({ stream: definition }, { stream })
  }
}
