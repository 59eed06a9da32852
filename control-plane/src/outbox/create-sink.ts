import type { Writable } from 'node:stream'
import type { Clock } from '../runtime/clock.ts'
import { NdjsonFileSink } from './ndjson-file-sink.ts'
import type { SinkConfig } from './sink-config.ts'
import type { Sink } from './sink.ts'
import { StdoutSink } from './stdout-sink.ts'
import { WebhookSink } from './webhook-sink.ts'

/** Opens nothing yet. */
export const createSink = (
  config: SinkConfig,
  { clock, stdout }: { readonly clock: Clock; readonly stdout: Writable },
): Sink => {
  switch (config.kind) {
    case 'stdout':
      return new StdoutSink({ name: config.name, stream: stdout })
    case 'file':
      return new NdjsonFileSink(config)
    case 'webhook':
      return new WebhookSink({ ...config, clock })
  }
}
