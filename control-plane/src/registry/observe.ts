import type { Evidence, EvidenceSource, EvidenceStatus } from '../domain/evidence.ts'
import type { Instance } from '../domain/instance.ts'
import { assess } from '../domain/assess.ts'
import type { FlapPolicy } from '../domain/flapping.ts'
import type { TrafficHold } from '../domain/traffic-hold.ts'
import type { Draft, Write } from '../store/write.ts'
import type { WriteContext } from './context.ts'

/** One observation about an instance, to be kept as evidence. */
export interface Observation {
  readonly service: string
  readonly id: string
  readonly source: EvidenceSource
  readonly observer: string
  readonly status: EvidenceStatus
  readonly output: string
  /** How long it says something (ms from now); null: until replaced. */
  readonly validForMs: number | null
  /** Looks once more at the row under the lock; false drops the observation (expiry checks the lease again). */
  readonly stillTrue?: (instance: Instance, draft: Draft) => boolean
  /** When the instance is removed if nothing changes (ms from now); null: not; undefined: as it was. */
  readonly removeAfterMs?: number | null
  /** The observation is a heartbeat: it renews the lease in the same write. */
  readonly beats?: boolean
  /** Only of `traffic`. */
  readonly hold?: TrafficHold
  readonly fence?: { readonly role: string; readonly fence: number }
}

const outputLimit = 1_024

/** The evidence with this source replaced; keeps `since` while the status stays the same. */
const withEvidence = (evidence: readonly Evidence[], next: Evidence): Evidence[] => {
  const before = evidence.find(({ source }) => source === next.source)
  const since = before?.status === next.status ? before.since : next.since
  const others = evidence.filter(({ source }) => source !== next.source)
  return [...others, { ...next, since }].sort((a, b) => (a.source < b.source ? -1 : 1))
}

export const observeWrite = (
  observation: Observation,
  { actor, traceparent }: WriteContext,
  flapPolicy: FlapPolicy | null,
): Write<Instance | null> => ({
  touches: [
    {
      kind: 'instance',
      service: observation.service,
      id: observation.id,
      lease: observation.stillTrue !== undefined,
    },
  ],
  actor,
  traceparent,
  ...(observation.fence === undefined ? {} : { fence: observation.fence }),
  decide: draft => {
    const instance = draft.instance(observation.service, observation.id)
    if (instance === undefined || observation.stillTrue?.(instance, draft) === false) return null
    if (observation.beats === true) draft.beat(instance)
    const now = new Date(draft.now).toISOString()
    const { validForMs, removeAfterMs } = observation
    const before = instance.evidence.find(({ source }) => source === observation.source)
    const evidence = withEvidence(instance.evidence, {
      source: observation.source,
      observer: observation.observer,
      status: observation.status,
      output: observation.output.slice(0, outputLimit),
      observedAt: now,
      validUntil: validForMs === null ? null : new Date(draft.now + validForMs).toISOString(),
      since: now,
      ...(observation.hold === undefined ? {} : { hold: observation.hold }),
    })
    const assessed = assess({
      evidence,
      override: instance.override,
      before: instance,
      now: draft.now,
      flapPolicy,
    })
    // An instance that leaves keeps its end, whatever becomes of its lease.
    const removeAt =
      removeAfterMs === undefined || instance.override?.leaving === true
        ? instance.removeAt
        : removeAfterMs === null
          ? null
          : new Date(draft.now + removeAfterMs).toISOString()
    const sameStatus = before?.status === observation.status && before.output === observation.output
    if (
      sameStatus &&
      assessed.verdict === instance.verdict &&
      (removeAt === null) === (instance.removeAt === null)
    ) {
      return instance
    }
    return draft.putInstance({ ...instance, evidence, ...assessed, removeAt }, 'instance.health')
  },
})
