import type { EventSinkSpec } from '@waymark/sidecar-config/model/event-sink.ts'
import type { Document } from '../domain/document.ts'
import { eventFilter } from './event-filter.ts'
import type { Wants } from './log-window.ts'
import type { SinkIdentity } from './outbox-store.ts'
import type { SinkConfig } from './sink-config.ts'

/** A sink as the configuration or a document has it. */
export interface SinkDefinition {
  readonly name: string
  readonly start: SinkIdentity['start']
  readonly origin: SinkIdentity['origin']
  readonly wants: Wants
  /** Another one: the sink has to begin anew. */
  readonly version: string
  readonly target:
    | { readonly from: 'configuration'; readonly config: SinkConfig }
    | { readonly from: 'document'; readonly spec: EventSinkSpec }
}

export const configuredSink = (config: SinkConfig): SinkDefinition => ({
  name: config.name,
  start: config.start,
  origin: 'configuration',
  wants: eventFilter(undefined),
  version: 'configuration',
  target: { from: 'configuration', config },
})

/** `document`: of kind EventSink, as the model of its kind has completed it. */
export const documentSink = ({ name, revision, spec }: Document): SinkDefinition => {
  const sink = spec as EventSinkSpec
  return {
    name,
    start: sink.start,
    origin: 'document',
    wants: eventFilter(sink.filter),
    version: String(revision),
    target: { from: 'document', spec: sink },
  }
}
