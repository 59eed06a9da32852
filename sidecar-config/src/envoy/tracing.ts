import { OpenTelemetryConfig } from '@envoyproxy/protos/envoy/config/trace/v3/opentelemetry.ts'
import { HttpConnectionManager_Tracing } from '@envoyproxy/protos/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.ts'
import { hostPort } from '../model/host-port.ts'
import { any, messageTypes } from './any.ts'
import { otlpCluster } from './names.ts'
import type { OtlpTarget } from './otlp.ts'

export interface TracingInput {
  /** Named in the spans as `service.name`: the service that the sidecar fronts. */
  readonly serviceName: string
  readonly target: OtlpTarget
  /** Share of the traces that begin here, in percent. A trace that began elsewhere keeps its decision. */
  readonly samplePercent: number
}

const exportTimeout = { seconds: 1, nanos: 0 }
/** FractionalPercent counts by hundred, ten thousand or a million; this is the last, for shares like 0.01 %. */
const perMillion = 2

const exporter = (target: OtlpTarget) =>
  target.protocol === 'grpc'
    ? { grpcService: { envoyGrpc: { clusterName: otlpCluster }, timeout: exportTimeout } }
    : {
        httpService: {
          httpUri: {
            uri: `http://${hostPort(target)}${target.path}`,
            cluster: otlpCluster,
            timeout: exportTimeout,
          },
        },
      }

/**
 * Spans by OTLP, W3C trace context. `random_sampling` stays at 100: with less, Envoy would overrule a sampled
 * parent and break its trace. What is really sampled says the parent-based sampler.
 */
export const buildTracing = (input: TracingInput): HttpConnectionManager_Tracing => {
  const ratio = any(
    messageTypes.ratioSampler,
    messageTypes.ratioSampler.codec.fromPartial({
      samplingPercentage: { numerator: Math.round(input.samplePercent * 10_000), denominator: perMillion },
    }),
  )
  const sampler = any(
    messageTypes.parentBasedSampler,
    messageTypes.parentBasedSampler.codec.fromPartial({
      wrappedSampler: {
        name: 'envoy.tracers.opentelemetry.samplers.trace_id_ratio_based',
        typedConfig: ratio,
      },
    }),
  )
  const provider = OpenTelemetryConfig.fromPartial({
    ...exporter(input.target),
    serviceName: input.serviceName,
    sampler: { name: 'envoy.tracers.opentelemetry.samplers.parent_based', typedConfig: sampler },
  })
  return HttpConnectionManager_Tracing.fromPartial({
    provider: { name: 'envoy.tracers.opentelemetry', typedConfig: any(messageTypes.openTelemetry, provider) },
    spawnUpstreamSpan: true,
    randomSampling: { value: 100 },
  })
}
