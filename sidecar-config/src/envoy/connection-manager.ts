import type { RouteConfiguration } from '@envoyproxy/protos/envoy/config/route/v3/route.ts'
import {
  HttpConnectionManager,
  HttpConnectionManager_ServerHeaderTransformation,
  type HttpFilter,
  type LocalReplyConfig,
} from '@envoyproxy/protos/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.ts'
import { Router } from '@envoyproxy/protos/envoy/extensions/filters/http/router/v3/router.ts'
import type { Filter } from '@envoyproxy/protos/envoy/config/listener/v3/listener_components.ts'
import { overAds } from './ads.ts'
import { any, messageTypes } from './any.ts'
import { buildTracing, type TracingInput } from './tracing.ts'

interface ConnectionManagerInput {
  readonly statPrefix: string
  /** The name of a route configuration from RDS, or the routes themselves. */
  readonly routes: string | RouteConfiguration
  /** Milliseconds without a byte after which a stream ends, unless its route says otherwise; 0: never. */
  readonly streamIdleMs: number
  readonly localReplies: LocalReplyConfig
  /** Before the router. */
  readonly filters?: readonly HttpFilter[]
  /** Whether Envoy's own answers and requests carry its `x-envoy-` headers. */
  readonly envoyHeaders: boolean
  readonly tracing: TracingInput | null
}

/**
 * What both listeners of a sidecar do alike with HTTP/1.1 and HTTP/2 (told apart by the first bytes). A listener does not open
 * before it has its routes: it would answer that nothing exists.
 */
export const connectionManager = (input: ConnectionManagerInput): Filter => {
  const manager = HttpConnectionManager.fromPartial({
    statPrefix: input.statPrefix,
    ...(typeof input.routes === 'string'
      ? { rds: { configSource: overAds(0), routeConfigName: input.routes } }
      : { routeConfig: input.routes }),
    httpFilters: [
      ...(input.filters ?? []),
      {
        name: 'envoy.filters.http.router',
        typedConfig: any(
          messageTypes.router,
          Router.fromPartial({ suppressEnvoyHeaders: !input.envoyHeaders }),
        ),
      },
    ],
    localReplyConfig: input.localReplies,
    ...(input.tracing && { tracing: buildTracing(input.tracing) }),
    generateRequestId: true,
    // Nobody is trusted to steer the router with x-envoy- headers: with no address counted as internal, Envoy
    // removes those that set timeouts, retries or tracing. It leaves x-forwarded-for as the edge has set it.
    useRemoteAddress: false,
    internalAddressConfig: { unixSockets: false },
    serverHeaderTransformation: HttpConnectionManager_ServerHeaderTransformation.PASS_THROUGH,
    // Dot segments are resolved, so that every sidecar and the application see the same path. Escaped slashes and
    // double ones stay: some applications give them a meaning.
    normalizePath: true,
    streamIdleTimeout: { seconds: input.streamIdleMs / 1_000, nanos: 0 },
    // A client that sends its headers byte by byte must not hold a slot.
    requestHeadersTimeout: { seconds: 10, nanos: 0 },
    commonHttpProtocolOptions: { idleTimeout: { seconds: 3_600, nanos: 0 } },
    http2ProtocolOptions: { maxConcurrentStreams: 1_024 },
    upgradeConfigs: [{ upgradeType: 'websocket' }],
  })
  return {
    name: 'envoy.filters.network.http_connection_manager',
    typedConfig: any(messageTypes.httpConnectionManager, manager),
  }
}
