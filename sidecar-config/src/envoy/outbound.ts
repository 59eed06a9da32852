import { ComparisonFilter_Op } from '@envoyproxy/protos/envoy/config/accesslog/v3/accesslog.ts'
import { TrafficDirection } from '@envoyproxy/protos/envoy/config/core/v3/base.ts'
import type { Listener } from '@envoyproxy/protos/envoy/config/listener/v3/listener.ts'
import { OnDemand } from '@envoyproxy/protos/envoy/extensions/filters/http/on_demand/v3/on_demand.ts'
import {
  LocalReplyConfig,
  type HttpFilter,
} from '@envoyproxy/protos/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.ts'
import { overAds } from './ads.ts'
import { any, messageTypes } from './any.ts'
import { connectionManager } from './connection-manager.ts'
import { milliseconds } from './duration.ts'
import { listener } from './listener.ts'
import { outboundListener, outboundRoutes } from './names.ts'
import type { TracingInput } from './tracing.ts'

export interface OutboundInput {
  readonly port: number
  /** Default 127.0.0.1: only the application beside the sidecar may use it. */
  readonly bindAddress?: string
  readonly tracing: TracingInput | null
  /** Asks the control plane for hosts and clusters that it does not know, while their request waits. */
  readonly onDemand?: boolean
}

/** The only 404 that Envoy itself gives here is that of an unknown host (routes.ts); this names the host. */
const localReplies = LocalReplyConfig.fromPartial({
  mappers: [
    {
      filter: {
        statusCodeFilter: {
          comparison: {
            op: ComparisonFilter_Op.EQ,
            value: { defaultValue: 404, runtimeKey: 'waymark.unknown_host_status' },
          },
        },
      },
      bodyFormatOverride: {
        jsonFormat: {
          title: 'Unknown host',
          status: 404,
          detail: 'The mesh has no service of this name, or this caller does not declare it.',
          host: '%REQ(:AUTHORITY)%',
        },
        contentType: 'application/problem+json',
      },
    },
  ],
})

/** Without a control plane a request must not wait for its cluster for long. */
const clusterWaitMs = 3_000

const onDemandFilter: HttpFilter = {
  name: 'envoy.filters.http.on_demand',
  typedConfig: any(
    messageTypes.onDemand,
    OnDemand.fromPartial({ odcds: { source: overAds(0), timeout: milliseconds(clusterWaitMs) } }),
  ),
  isOptional: false,
  disabled: false,
}

/**
 * A request without a route yet. Routes have limits of their own (routes.ts), so that this one ends what waits for
 * its virtual host: Envoy has no other limit for that.
 */
const routeWaitMs = { known: 300_000, onDemand: 10_000 }

/** Where the application sends its requests; they are routed by host. Its routes come by RDS and VHDS. */
export const buildOutboundListener = ({
  port,
  bindAddress = '127.0.0.1',
  tracing,
  onDemand = false,
}: OutboundInput): Listener =>
  listener({
    name: outboundListener,
    bindAddress,
    port,
    direction: TrafficDirection.OUTBOUND,
    filter: connectionManager({
      statPrefix: 'outbound',
      routes: outboundRoutes,
      streamIdleMs: onDemand ? routeWaitMs.onDemand : routeWaitMs.known,
      localReplies,
      filters: onDemand ? [onDemandFilter] : [],
      envoyHeaders: true,
      tracing,
    }),
  })
