import { assess } from '../domain/assess.ts'
import { WaymarkError } from '../domain/errors.ts'
import type { FlapPolicy } from '../domain/flapping.ts'
import type { Instance } from '../domain/instance.ts'
import type { Override } from '../domain/verdict.ts'
import type { Draft, Write } from '../store/write.ts'
import type { WriteContext } from './context.ts'

export interface DeregisterInput {
  readonly service: string
  readonly id: string
  /** The registration that is meant; null: whatever is there. */
  readonly incarnation: number | null
  /** First draining for this long (ms), then gone; null: gone at once. */
  readonly drainMs: number | null
}

/** The instance, or `instance_not_found`. */
export const existing = (draft: Draft, service: string, id: string): Instance => {
  const instance = draft.instance(service, id)
  if (instance === undefined) {
    throw new WaymarkError('instance_not_found', `service ${service} has no instance ${id}`)
  }
  return instance
}

export const deregisterWrite = (
  { service, id, incarnation, drainMs }: DeregisterInput,
  { actor, traceparent }: WriteContext,
  flapPolicy: FlapPolicy | null,
): Write<Instance | null> => ({
  touches: [{ kind: 'instance', service, id }],
  actor,
  traceparent,
  decide: draft => {
    const instance = existing(draft, service, id)
    if (incarnation !== null && incarnation !== instance.incarnation) {
      throw new WaymarkError(
        'incarnation_conflict',
        `incarnation ${incarnation} of ${service}/${id} has been replaced by ${instance.incarnation}`,
      )
    }
    if (drainMs === null) {
      draft.removeInstance(instance)
      return null
    }
    const removeAt = new Date(draft.now + drainMs).toISOString()
    // A second request may shorten a drain, never prolong it: retries must not keep an instance for ever.
    if (instance.override?.leaving === true && instance.removeAt !== null && instance.removeAt <= removeAt) {
      return instance
    }
    const override: Override = {
      status: 'draining',
      reason: 'deregistered with a drain',
      leaving: true,
      actor,
      since:
        instance.override?.status === 'draining'
          ? instance.override.since
          : new Date(draft.now).toISOString(),
      expiresAt: null,
    }
    const { evidence } = instance
    const assessed = assess({ evidence, override, before: instance, now: draft.now, flapPolicy })
    return draft.putInstance({ ...instance, override, removeAt, ...assessed }, 'instance.draining')
  },
})
