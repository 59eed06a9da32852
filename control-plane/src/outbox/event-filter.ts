import type { EventSinkSpec } from '@waymark/sidecar-config/model/event-sink.ts'
import type { Wants } from './log-window.ts'
import type { LoggedChange } from '../domain/outbox.ts'

/** A document bears the name of a service or has one as its destination; as the watch sees it. */
const destinationOf = ({ payload }: LoggedChange): string | null => {
  const { before, after } = JSON.parse(payload) as Record<'before' | 'after', { spec?: unknown } | null>
  const { spec } = after ?? before ?? {}
  if (typeof spec !== 'object' || spec === null || !('destination' in spec)) return null
  return typeof spec.destination === 'string' ? spec.destination : null
}

/** What a sink wants, by the filter of its document; without one, everything. */
export const eventFilter = (filter: EventSinkSpec['filter']): Wants => {
  const types = filter?.types === undefined ? null : new Set<string>(filter.types)
  const services = filter?.services === undefined ? null : new Set(filter.services)
  if (types === null && services === null) return () => true
  return change => {
    if (types !== null && !types.has(change.type) && !types.has(`${change.aggregateType}.*`)) return false
    if (services === null) return true
    const { aggregateType, aggregateId } = change
    const slash = aggregateId.indexOf('/')
    if (aggregateType === 'instance') return services.has(aggregateId.slice(0, slash))
    return services.has(aggregateId.slice(slash + 1)) || services.has(destinationOf(change) ?? '')
  }
}
