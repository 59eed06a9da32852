import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-grpc'
import { resourceFromAttributes } from '@opentelemetry/resources'
import {
  BatchSpanProcessor,
  ParentBasedSampler,
  TracerProvider,
  TraceIdRatioBasedSampler,
  type SpanProcessor,
} from '@opentelemetry/sdk-trace'
import { hostPort } from '@waymark/sidecar-config/model/host-port.ts'
import type { Logger } from '../runtime/logger.ts'
import { ReportedExporter } from './reported-exporter.ts'

/** Where the spans of the control plane go: OTLP over gRPC. */
export interface TraceTarget {
  readonly host: string
  readonly port: number
  readonly tls: boolean
  /** 0 to 100: the share of the traces that begin here. A trace that comes with a request keeps its decision. */
  readonly samplingPercent: number
}

export interface TraceProviderOptions {
  readonly replicaId: string
  readonly target: TraceTarget
  readonly logger: Logger
  /** Takes the place of the exporter. */
  readonly processor?: SpanProcessor
}

const maxQueueSize = 2_048
const exportTimeoutMillis = 5_000

/** Makes spans and exports them. It opens no connection; the first export does. */
export const createTraceProvider = ({
  replicaId,
  target,
  logger,
  processor,
}: TraceProviderOptions): TracerProvider => {
  const { host, port, tls, samplingPercent } = target
  return new TracerProvider({
    resource: resourceFromAttributes({
      'service.name': 'waymark-control-plane',
      'service.instance.id': replicaId,
    }),
    sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(samplingPercent / 100) }),
    spanProcessors: [
      processor ??
        new BatchSpanProcessor({
          exporter: new ReportedExporter({
            logger,
            exporter: new OTLPTraceExporter({
              url: `${tls ? 'https' : 'http'}://${hostPort({ host, port })}`,
              timeoutMillis: exportTimeoutMillis,
            }),
          }),
          maxQueueSize,
          exportTimeoutMillis,
        }),
    ],
  })
}
