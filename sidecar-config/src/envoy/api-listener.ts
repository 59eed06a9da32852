/**
 * What a gRPC program without a sidecar asks for by LDS: as a client the API listener of the service in
 * `xds:///payments`, as a server a listener for the address that it has bound.
 */
import { ApiListener } from '@envoyproxy/protos/envoy/config/listener/v3/api_listener.ts'
import { Listener } from '@envoyproxy/protos/envoy/config/listener/v3/listener.ts'
import { RouteConfiguration } from '@envoyproxy/protos/envoy/config/route/v3/route.ts'
import { HttpConnectionManager } from '@envoyproxy/protos/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.ts'
import { Router } from '@envoyproxy/protos/envoy/extensions/filters/http/router/v3/router.ts'
import type { Any } from '@envoyproxy/protos/google/protobuf/any.ts'
import { overAds } from './ads.ts'
import { socketAddress } from './address.ts'
import { any, messageTypes } from './any.ts'

/** `_server/0.0.0.0:50051`; no service name begins with an underscore. */
export const grpcServerPrefix = '_server/'

/** gRPC refuses a connection manager whose last filter is not the router, and reads few other fields of it. */
const manager = (routes: Pick<Partial<HttpConnectionManager>, 'rds' | 'routeConfig'>): Any =>
  any(
    messageTypes.httpConnectionManager,
    HttpConnectionManager.fromPartial({
      statPrefix: 'grpc',
      ...routes,
      httpFilters: [
        { name: 'envoy.filters.http.router', typedConfig: any(messageTypes.router, Router.fromPartial({})) },
      ],
    }),
  )

/** `name` is what the client asked for; the route configuration is called like the service. */
export const buildApiListener = ({ name, service }: { name: string; service: string }): Listener =>
  Listener.fromPartial({
    name,
    apiListener: ApiListener.fromPartial({
      apiListener: manager({ rds: { configSource: overAds(0), routeConfigName: service } }),
    }),
  })

/** Takes every call: a server hands all of them to its own methods. */
const serverRoutes = RouteConfiguration.fromPartial({
  name: 'server',
  virtualHosts: [
    { name: 'server', domains: ['*'], routes: [{ match: { prefix: '' }, nonForwardingAction: {} }] },
  ],
})

/** `address` and `port` have to be those that the server has bound, written as it has written them. */
export const buildGrpcServerListener = ({ address, port }: { address: string; port: number }): Listener =>
  Listener.fromPartial({
    name: `${grpcServerPrefix}${address.includes(':') ? `[${address}]` : address}:${port}`,
    address: socketAddress(address, port),
    defaultFilterChain: {
      name: 'grpc',
      filters: [
        {
          name: 'envoy.filters.network.http_connection_manager',
          typedConfig: manager({ routeConfig: serverRoutes }),
        },
      ],
    },
  })
