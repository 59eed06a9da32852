import type { Duration } from '@envoyproxy/protos/google/protobuf/duration.ts'
import { durationMs } from '../model/duration.ts'

export const milliseconds = (ms: number): Duration => ({
  seconds: Math.floor(ms / 1_000),
  nanos: (ms % 1_000) * 1_000_000,
})

/** A duration of a document (`1.5s`) for Envoy. */
export const duration = (text: string): Duration => milliseconds(durationMs(text))
