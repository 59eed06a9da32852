import { ComparisonFilter_Op } from '@envoyproxy/protos/envoy/config/accesslog/v3/accesslog.ts'
import { TrafficDirection } from '@envoyproxy/protos/envoy/config/core/v3/base.ts'
import type { Listener } from '@envoyproxy/protos/envoy/config/listener/v3/listener.ts'
import { LocalReplyConfig } from '@envoyproxy/protos/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.ts'
import { connectionManager } from './connection-manager.ts'
import { listener } from './listener.ts'
import { outboundListener, outboundRoutes } from './names.ts'
import type { TracingInput } from './tracing.ts'

export interface OutboundInput {
  readonly port: number
  /** Default 127.0.0.1: only the application beside the sidecar may use it. */
  readonly bindAddress?: string
  readonly tracing: TracingInput | null
}

/** The only 404 that Envoy itself gives here is that of an unknown host (routes.ts); it names the host. */
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
          detail: '%LOCAL_REPLY_BODY%',
          host: '%REQ(:AUTHORITY)%',
        },
        contentType: 'application/problem+json',
      },
    },
  ],
})

/** Where the application sends its requests; they are routed by host. Its routes come by RDS. */
export const buildOutboundListener = ({
  port,
  bindAddress = '127.0.0.1',
  tracing,
}: OutboundInput): Listener =>
  listener({
    name: outboundListener,
    bindAddress,
    port,
    direction: TrafficDirection.OUTBOUND,
    filter: connectionManager({
      statPrefix: 'outbound',
      routes: outboundRoutes,
      streamIdleMs: 300_000,
      localReplies,
      envoyHeaders: true,
      tracing,
    }),
  })
