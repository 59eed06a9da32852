import type { Sink } from './sink.ts'

/** The most of one delivery, by the kind of a sink: known without loading its library. */
export const sinkLimits: Readonly<Record<Sink['kind'], Pick<Sink, 'maxBatch' | 'maxBatchBytes'>>> = {
  webhook: { maxBatch: 100, maxBatchBytes: 512 * 1_024 },
  // Below the broker's own limit for a batch of records (1 MiB), whatever partitions a delivery is for.
  kafka: { maxBatch: 1_000, maxBatchBytes: 900_000 },
  nats: { maxBatch: 500, maxBatchBytes: 900_000 },
  file: { maxBatch: 1_000, maxBatchBytes: 2 * 1_024 * 1_024 },
  stdout: { maxBatch: 500, maxBatchBytes: 1_024 * 1_024 },
}
