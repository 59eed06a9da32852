import type { TracerProvider } from '@opentelemetry/sdk-trace'
import type { OtlpTarget } from '@waymark/sidecar-config/envoy/otlp.ts'
import type { Logger } from '../runtime/logger.ts'

interface OpenTracesOptions {
  readonly replicaId: string
  readonly logger: Logger
  /** Where sidecars send theirs; null: nowhere. */
  readonly tracing: { readonly target: OtlpTarget; readonly samplePercent: number } | null
}

/** The control plane's own spans go where the sidecars' go, if that speaks gRPC; null: nowhere. */
export const openTraces = async ({
  tracing,
  replicaId,
  logger,
}: OpenTracesOptions): Promise<TracerProvider | null> => {
  if (tracing?.target.protocol !== 'grpc') return null
  // With what it imports it takes a process some megabytes.
  const { createTraceProvider } = await import('./trace-provider.ts')
  const target = { ...tracing.target, tls: false, samplingPercent: tracing.samplePercent }
  return createTraceProvider({ replicaId, target, logger })
}
