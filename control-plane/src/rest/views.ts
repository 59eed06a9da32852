/** Domain objects as REST shows them. */
import type { Change, ChangeSet } from '../domain/change.ts'
import type { Document } from '../domain/document.ts'
import type { Evidence } from '../domain/evidence.ts'
import type { Flapping } from '../domain/flapping.ts'
import type { Instance } from '../domain/instance.ts'
import type { ServiceState } from '../mesh/mesh-view.ts'
import { toRegistration } from './instance-spec.ts'
import type { ChangeSetView, ChangeView } from './schemas/change.ts'
import type { DocumentView } from './schemas/document.ts'
import type { InstanceView, ServiceSummaryView } from './schemas/instance.ts'

/** Only a hold matters to others. It is never at a better verdict than degraded: each change has a worse side. */
const flappingView = (flapping: Flapping | null): InstanceView['flapping'] => {
  const held = flapping?.held ?? null
  if (held?.verdict !== 'degraded' && held?.verdict !== 'unhealthy') return null
  return { verdict: held.verdict, since: held.since, until: held.until }
}

/** Without what passive health keeps for itself. */
const evidenceView = ({ hold: _, ...evidence }: Evidence): InstanceView['evidence'][number] => evidence

export const instanceView = (instance: Instance): InstanceView => ({
  service: instance.service,
  id: instance.id,
  incarnation: instance.incarnation,
  verdict: instance.verdict,
  ...toRegistration(instance.spec),
  override: instance.override,
  flapping: flappingView(instance.flapping),
  evidence: instance.evidence.map(evidenceView),
  removeAt: instance.removeAt,
  registeredAt: instance.registeredAt,
  revision: instance.revision,
})

export const documentView = ({ kind, name, spec, revision }: Document): DocumentView => ({
  kind,
  name,
  spec,
  revision,
})

export const serviceSummaryView = (service: ServiceState): ServiceSummaryView => ({
  name: service.name,
  instances: service.instances.size,
  verdicts: { ...service.verdicts },
  document: service.document?.revision ?? null,
})

const changeView = (change: Change): ChangeView => {
  const { id, revision, position, aggregateId, occurredAt, actor, traceparent } = change
  const meta = { id, revision, position, aggregateId, occurredAt, actor, traceparent }
  if (change.aggregateType === 'instance') {
    const { aggregateType, type, before, after } = change
    return {
      ...meta,
      aggregateType,
      type,
      before: before === null ? null : instanceView(before),
      after: after === null ? null : instanceView(after),
    }
  }
  const { aggregateType, type, before, after } = change
  return {
    ...meta,
    aggregateType,
    type,
    before: before === null ? null : documentView(before),
    after: after === null ? null : documentView(after),
  }
}

export const changeSetView = ({ revision, changes }: ChangeSet): ChangeSetView => ({
  revision,
  changes: changes.map(changeView),
})
