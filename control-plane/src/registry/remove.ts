import type { Instance } from '../domain/instance.ts'
import type { Draft, Write } from '../store/write.ts'
import type { WriteContext } from './context.ts'

/** The removal of an instance whose time has come: its drain is over, or it has been expired for too long. */
export interface Removal {
  readonly service: string
  readonly id: string
  /** Looks once more at the row under the lock; false leaves the instance. */
  readonly stillTrue: (instance: Instance, draft: Draft) => boolean
  readonly fence: { readonly role: string; readonly fence: number }
}

export const removeDueWrite = (
  { service, id, stillTrue, fence }: Removal,
  { actor, traceparent }: WriteContext,
): Write<boolean> => ({
  touches: [{ kind: 'instance', service, id, lease: true }],
  actor,
  traceparent,
  fence,
  decide: draft => {
    const instance = draft.instance(service, id)
    if (instance === undefined || instance.removeAt === null) return false
    if (Date.parse(instance.removeAt) > draft.now || !stillTrue(instance, draft)) return false
    draft.removeInstance(instance)
    return true
  },
})
