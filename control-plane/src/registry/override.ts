import type { Instance } from '../domain/instance.ts'
import { assess } from '../domain/assess.ts'
import { WaymarkError } from '../domain/errors.ts'
import type { FlapPolicy } from '../domain/flapping.ts'
import type { Override } from '../domain/verdict.ts'
import type { Write } from '../store/write.ts'
import { existing } from './deregister.ts'
import { endOfExpired } from './end-of-expired.ts'
import type { WriteContext } from './context.ts'

export interface OverrideInput {
  readonly service: string
  readonly id: string
  /** null takes the override back; what is not `draining` also takes a drain in progress back. */
  readonly override: {
    readonly status: Override['status']
    readonly reason: string
    readonly ends?: OverrideEnd
  } | null
}

/** When an override ends by itself: after a while (ms), at a time (as toISOString writes it), or never (null). */
type OverrideEnd = { readonly afterMs: number } | { readonly at: string } | null

const expiryOf = (ends: OverrideEnd, now: number): string | null => {
  if (ends === null) return null
  if ('afterMs' in ends) return new Date(now + ends.afterMs).toISOString()
  if (Date.parse(ends.at) > now) return ends.at
  throw new WaymarkError('invalid_request', 'the override would have ended before it began', {
    fields: [{ pointer: '/expiresAt', detail: 'has passed', accepted: 'a time that is still to come' }],
  })
}

const sameOverride = (a: Override | null, b: Override | null): boolean =>
  a === null || b === null
    ? a === b
    : a.status === b.status && a.reason === b.reason && a.expiresAt === b.expiresAt

export const overrideWrite = (
  { service, id, override: asked }: OverrideInput,
  { actor, traceparent }: WriteContext,
  flapPolicy: FlapPolicy | null,
): Write<Instance> => ({
  touches: [{ kind: 'instance', service, id }],
  actor,
  traceparent,
  decide: draft => {
    const instance = existing(draft, service, id)
    const now = new Date(draft.now).toISOString()
    const leaves = instance.override?.leaving === true
    const leavesOn = leaves && asked?.status === 'draining'
    const override: Override | null =
      asked === null
        ? null
        : {
            status: asked.status,
            reason: asked.reason,
            leaving: leavesOn,
            actor,
            since: now,
            // What leaves ends with its removal.
            expiresAt: leavesOn ? null : expiryOf(asked.ends ?? null, draft.now),
          }
    if (sameOverride(instance.override, override)) return instance
    const { evidence } = instance
    const removeAt = leaves && !leavesOn ? endOfExpired(instance, draft.now) : instance.removeAt
    const assessed = assess({ evidence, override, before: instance, now: draft.now, flapPolicy })
    return draft.putInstance({ ...instance, override, removeAt, ...assessed }, 'instance.health')
  },
})
