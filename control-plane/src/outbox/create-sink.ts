import { DeferredSink } from './deferred-sink.ts'
import { NdjsonFileSink } from './ndjson-file-sink.ts'
import { openEventSink } from './open-event-sink.ts'
import type { SinkConfig } from './sink-config.ts'
import type { SinkDefinition } from './sink-definition.ts'
import { sinkLimits } from './sink-limits.ts'
import type { SinkParts } from './sink-parts.ts'
import type { Sink } from './sink.ts'
import { StdoutSink } from './stdout-sink.ts'
import { WebhookSink } from './webhook-sink.ts'

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
