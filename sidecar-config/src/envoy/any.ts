/** The messages that Waymark puts into a `google.protobuf.Any`, each with its type URL. */
import { Cluster } from '@envoyproxy/protos/envoy/config/cluster/v3/cluster.ts'
import { ClusterLoadAssignment } from '@envoyproxy/protos/envoy/config/endpoint/v3/endpoint.ts'
import { Listener } from '@envoyproxy/protos/envoy/config/listener/v3/listener.ts'
import { RouteConfiguration } from '@envoyproxy/protos/envoy/config/route/v3/route.ts'
import { VirtualHost } from '@envoyproxy/protos/envoy/config/route/v3/route_components.ts'
import { OpenTelemetryConfig } from '@envoyproxy/protos/envoy/config/trace/v3/opentelemetry.ts'
import { OnDemand } from '@envoyproxy/protos/envoy/extensions/filters/http/on_demand/v3/on_demand.ts'
import { Router } from '@envoyproxy/protos/envoy/extensions/filters/http/router/v3/router.ts'
import { HttpConnectionManager } from '@envoyproxy/protos/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.ts'
import { PreviousHostsPredicate } from '@envoyproxy/protos/envoy/extensions/retry/host/previous_hosts/v3/previous_hosts.ts'
import { ParentBasedSamplerConfig } from '@envoyproxy/protos/envoy/extensions/tracers/opentelemetry/samplers/v3/parent_based_sampler.ts'
import { TraceIdRatioBasedSamplerConfig } from '@envoyproxy/protos/envoy/extensions/tracers/opentelemetry/samplers/v3/trace_id_ratio_based_sampler.ts'
import { HttpProtocolOptions } from '@envoyproxy/protos/envoy/extensions/upstreams/http/v3/http_protocol_options.ts'
import type { Any, MessageFns } from '@envoyproxy/protos/google/protobuf/any.ts'

export interface MessageType<Message> {
  readonly typeUrl: string
  readonly codec: MessageFns<Message>
}

const type = <Message>(name: string, codec: MessageFns<Message>): MessageType<Message> => ({
  typeUrl: `type.googleapis.com/${name}`,
  codec,
})

const samplers = 'envoy.extensions.tracers.opentelemetry.samplers.v3'

export const messageTypes = {
  cluster: type('envoy.config.cluster.v3.Cluster', Cluster),
  endpoints: type('envoy.config.endpoint.v3.ClusterLoadAssignment', ClusterLoadAssignment),
  listener: type('envoy.config.listener.v3.Listener', Listener),
  routes: type('envoy.config.route.v3.RouteConfiguration', RouteConfiguration),
  virtualHost: type('envoy.config.route.v3.VirtualHost', VirtualHost),
  openTelemetry: type('envoy.config.trace.v3.OpenTelemetryConfig', OpenTelemetryConfig),
  onDemand: type('envoy.extensions.filters.http.on_demand.v3.OnDemand', OnDemand),
  router: type('envoy.extensions.filters.http.router.v3.Router', Router),
  httpConnectionManager: type(
    'envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',
    HttpConnectionManager,
  ),
  previousHosts: type(
    'envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate',
    PreviousHostsPredicate,
  ),
  parentBasedSampler: type(`${samplers}.ParentBasedSamplerConfig`, ParentBasedSamplerConfig),
  ratioSampler: type(`${samplers}.TraceIdRatioBasedSamplerConfig`, TraceIdRatioBasedSamplerConfig),
  httpProtocolOptions: type('envoy.extensions.upstreams.http.v3.HttpProtocolOptions', HttpProtocolOptions),
} as const

/** The type of the messages under this type URL, if Waymark builds such. */
export const messageTypeOf = (typeUrl: string): MessageType<unknown> | undefined =>
  Object.values(messageTypes).find(candidate => candidate.typeUrl === typeUrl)

/**
 * Encodes a message into memory of its own. A copy by `Buffer.from` would lie in the pool that all small buffers of the
 * process share 64 KB at a time, and a resource that is kept for long would keep all of that.
 */
export const encodeAlone = <Message>({ codec }: MessageType<Message>, message: Message): Buffer => {
  const { buffer, byteOffset, byteLength } = codec.encode(message).finish()
  return Buffer.from(buffer, byteOffset, byteLength)
}

export const any = <Message>(type: MessageType<Message>, message: Message): Any => ({
  typeUrl: type.typeUrl,
  value: encodeAlone(type, message),
})
