import { Cluster, Cluster_DiscoveryType } from '@envoyproxy/protos/envoy/config/cluster/v3/cluster.ts'
import { TrafficDirection } from '@envoyproxy/protos/envoy/config/core/v3/base.ts'
import type { Listener } from '@envoyproxy/protos/envoy/config/listener/v3/listener.ts'
import { RouteConfiguration } from '@envoyproxy/protos/envoy/config/route/v3/route.ts'
import { LocalReplyConfig } from '@envoyproxy/protos/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.ts'
import type { Protocol } from '../model/service.ts'
import { socketAddress } from './address.ts'
import { connectionManager } from './connection-manager.ts'
import { listener } from './listener.ts'
import { inboundCluster, inboundListener, inboundRoutes } from './names.ts'
import { upstreamHttpOptions } from './protocol-options.ts'
import type { TracingInput } from './tracing.ts'
import { unreachedHeader, unreachedReasons } from './unreached.ts'

export interface InboundInput {
  readonly port: number
  /** Default 0.0.0.0; `::` for IPv6. */
  readonly bindAddress?: string
  readonly tracing: TracingInput | null
}

export interface InboundClusterInput {
  readonly protocol: Protocol
  /** Default 127.0.0.1. */
  readonly appAddress?: string
  readonly appPort: number
}

/** The caller's sidecar has limits of its own; this one only keeps a sidecar from running out of memory. */
const roomForAll = 10_000

const localReplies = LocalReplyConfig.fromPartial({
  mappers: unreachedReasons.map(({ flag, reason }) => ({
    filter: { responseFlagFilter: { flags: [flag] } },
    headersToAdd: [{ header: { key: unreachedHeader, value: reason } }],
  })),
})

/** No time limit, no retry: the caller's policy decides, and only it knows whether a retry is safe. */
const toApplication = RouteConfiguration.fromPartial({
  name: inboundRoutes,
  virtualHosts: [
    {
      name: inboundRoutes,
      domains: ['*'],
      responseHeadersToRemove: [unreachedHeader],
      routes: [
        {
          name: 'application',
          match: { prefix: '/' },
          route: {
            cluster: inboundCluster,
            timeout: { seconds: 0, nanos: 0 },
            idleTimeout: { seconds: 0, nanos: 0 },
          },
        },
      ],
    },
  ],
})

/** Where callers reach the application. Its routes are part of it: nothing to wait for. */
export const buildInboundListener = ({ port, bindAddress = '0.0.0.0', tracing }: InboundInput): Listener =>
  listener({
    name: inboundListener,
    bindAddress,
    port,
    direction: TrafficDirection.INBOUND,
    filter: connectionManager({
      statPrefix: 'inbound',
      routes: toApplication,
      streamIdleMs: 0,
      localReplies,
      envoyHeaders: false,
      tracing,
    }),
  })

/** The application behind the inbound listener. */
export const buildInboundCluster = (input: InboundClusterInput): Cluster =>
  Cluster.fromPartial({
    name: inboundCluster,
    type: Cluster_DiscoveryType.STATIC,
    connectTimeout: { seconds: 1, nanos: 0 },
    loadAssignment: {
      clusterName: inboundCluster,
      endpoints: [
        {
          lbEndpoints: [
            { endpoint: { address: socketAddress(input.appAddress ?? '127.0.0.1', input.appPort) } },
          ],
        },
      ],
    },
    circuitBreakers: {
      thresholds: [
        {
          maxConnections: roomForAll,
          maxPendingRequests: roomForAll,
          maxRequests: roomForAll,
          trackRemaining: true,
        },
      ],
    },
    // Below the 5 s after which Node and others close: see connectionIdle in model/defaults.ts.
    typedExtensionProtocolOptions: upstreamHttpOptions({ protocol: input.protocol, connectionIdle: '4s' }),
  })
