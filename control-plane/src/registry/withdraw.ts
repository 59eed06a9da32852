import { assess } from '../domain/assess.ts'
import type { EvidenceSource } from '../domain/evidence.ts'
import type { FlapPolicy } from '../domain/flapping.ts'
import type { Instance } from '../domain/instance.ts'
import type { Write } from '../store/write.ts'
import type { WriteContext } from './context.ts'

/** Evidence that is to be dropped. */
export interface Withdrawal {
  readonly service: string
  readonly id: string
  readonly sources: readonly EvidenceSource[]
  /** Tells the instance from a later one under the same id. */
  readonly registeredAt: string
  readonly fence?: { readonly role: string; readonly fence: number }
}

/** The result is null when the instance is gone, or another one. */
export const withdrawWrite = (
  { service, id, sources, registeredAt, fence }: Withdrawal,
  { actor, traceparent }: WriteContext,
  flapPolicy: FlapPolicy | null,
): Write<Instance | null> => ({
  touches: [{ kind: 'instance', service, id }],
  actor,
  traceparent,
  ...(fence === undefined ? {} : { fence }),
  decide: draft => {
    const instance = draft.instance(service, id)
    if (instance?.registeredAt !== registeredAt) return null
    const evidence = instance.evidence.filter(({ source }) => !sources.includes(source))
    if (evidence.length === instance.evidence.length) return instance
    const { override } = instance
    const assessed = assess({ evidence, override, before: instance, now: draft.now, flapPolicy })
    return draft.putInstance({ ...instance, evidence, ...assessed }, 'instance.health')
  },
})
