import type { Writable } from 'node:stream'
import type { Clock } from '../runtime/clock.ts'
import { DeferredSink } from './deferred-sink.ts'
import { NdjsonFileSink } from './ndjson-file-sink.ts'
import { openEventSink } from './open-event-sink.ts'
import type { Secrets } from './secrets.ts'
import type { SinkConfig } from './sink-config.ts'
import type { SinkDefinition } from './sink-definition.ts'
import { sinkLimits } from './sink-limits.ts'
import type { Sink } from './sink.ts'
import { StdoutSink } from './stdout-sink.ts'
import { WebhookSink } from './webhook-sink.ts'

/** What sinks are made of. */
export interface SinkParts {
  readonly clock: Clock
  readonly stdout: Writable
  readonly secrets: Secrets
  /** Where documents may have files written; null: nowhere. */
  readonly filesDirectory: string | null
  /** What documents must not have this process connect to. */
  readonly allowsAddress: (address: string) => boolean
}

const configured = (config: SinkConfig, { clock, stdout }: SinkParts): Sink => {
  switch (config.kind) {
    case 'stdout':
      return new StdoutSink({ name: config.name, stream: stdout })
    case 'file':
      return new NdjsonFileSink(config)
    case 'webhook':
      return new WebhookSink({ ...config, clock })
  }
}

/** Opens nothing yet. */
export const createSink = ({ name, target }: SinkDefinition, parts: SinkParts): Sink => {
  if (target.from === 'configuration') return configured(target.config, parts)
  const { spec } = target
  return new DeferredSink({
    name,
    kind: spec.type,
    ...sinkLimits[spec.type],
    open: () => openEventSink({ name, spec }, parts),
  })
}
