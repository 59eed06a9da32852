import type { Instance } from '../domain/instance.ts'
import { verdictOf, type Override } from '../domain/verdict.ts'
import type { Write } from '../store/write.ts'
import { existing } from './deregister.ts'
import type { WriteContext } from './context.ts'

export interface OverrideInput {
  readonly service: string
  readonly id: string
  /** null takes the override (and a drain in progress) back. */
  readonly override: { readonly status: Override['status']; readonly reason: string } | null
}

export const overrideWrite = (
  { service, id, override: asked }: OverrideInput,
  { actor, traceparent }: WriteContext,
): Write<Instance> => ({
  touches: [{ kind: 'instance', service, id }],
  actor,
  traceparent,
  decide: draft => {
    const instance = existing(draft, service, id)
    const same =
      asked === null
        ? instance.override === null
        : instance.override?.status === asked.status && instance.override.reason === asked.reason
    if (same) return instance
    const override: Override | null =
      asked === null ? null : { ...asked, leaving: false, actor, since: new Date(draft.now).toISOString() }
    const removeAt = instance.override?.leaving === true && asked === null ? null : instance.removeAt
    const verdict = verdictOf({ evidence: instance.evidence, override }, draft.now)
    return draft.putInstance({ ...instance, override, removeAt, verdict }, 'instance.health')
  },
})
