import { assess } from '../domain/assess.ts'
import type { FlapPolicy } from '../domain/flapping.ts'
import type { Write } from '../store/write.ts'
import type { WriteContext } from './context.ts'

/** A look at an instance whose verdict may have changed by itself: an override or a hold is over, evidence stale. */
export interface Review {
  readonly service: string
  readonly id: string
  readonly fence: { readonly role: string; readonly fence: number }
}

export const reviewWrite = (
  { service, id, fence }: Review,
  { actor, traceparent }: WriteContext,
  flapPolicy: FlapPolicy | null,
): Write<boolean> => ({
  touches: [{ kind: 'instance', service, id }],
  actor,
  traceparent,
  fence,
  decide: draft => {
    const instance = draft.instance(service, id)
    if (instance === undefined || instance.reviewAt === null) return false
    if (Date.parse(instance.reviewAt) > draft.now) return false
    const { evidence, override: before } = instance
    const end = before?.expiresAt ?? null
    const expired = end !== null && Date.parse(end) <= draft.now
    const override = expired ? null : before
    const assessed = assess({ evidence, override, before: instance, now: draft.now, flapPolicy })
    const next = { ...instance, override, ...assessed }
    const heldBefore = instance.flapping?.held ?? null
    const sameHold = (assessed.flapping?.held ?? null) === heldBefore
    if (assessed.verdict === instance.verdict && override === before && sameHold) {
      // Only the time of the next review differs, which nobody reads from the log.
      draft.amendInstance(next)
      return false
    }
    draft.putInstance(next, 'instance.health')
    return true
  },
})
