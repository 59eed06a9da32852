import type { Instance } from '../domain/instance.ts'
import type { Observation, Removal } from '../registry/registry.ts'
import type { Draft } from '../store/write.ts'
import { leaseIsOver, type LapsedLease, type LeaseClock } from './expiry.ts'

/** What all writes of one sweep have in common. */
export interface SweepContext extends Pick<LeaseClock, 'serviceSince' | 'graceMs'> {
  readonly fence: { readonly role: string; readonly fence: number }
}

/** Whether the lease of this registration is over by what the transaction sees; a lost row is not over. */
const stillOver = (instance: Instance, draft: Draft, context: SweepContext): boolean => {
  const row = draft.lease(instance.service, instance.id)
  const ttlMs = instance.spec.lease?.ttlMs
  if (row === undefined || ttlMs === undefined) return false
  return leaseIsOver({ seenAt: row.seenAt, ttlMs }, { ...context, now: draft.now })
}

/** The observation that a lease is over; dropped when a beat or a registration has come in between. */
export const expireObservation = (
  lease: LapsedLease,
  { now, observer, ...context }: SweepContext & { readonly now: number; readonly observer: string },
): Observation => ({
  service: lease.service,
  id: lease.id,
  source: 'lease',
  observer,
  status: 'critical',
  output: `no heartbeat for ${((now - lease.seenAt) / 1_000).toFixed(1)} s, TTL ${lease.ttlMs / 1_000} s`,
  validForMs: null,
  removeAfterMs: lease.deregisterAfterMs,
  fence: context.fence,
  stillTrue: (instance, draft) =>
    instance.incarnation === lease.incarnation && stillOver(instance, draft, context),
})

/** The removal of an instance: at the end of the drain with which it leaves, or when it has been expired for long and still is. */
export const removal = (
  { service, id }: { readonly service: string; readonly id: string },
  context: SweepContext,
): Removal => ({
  service,
  id,
  fence: context.fence,
  stillTrue: (instance, draft) => instance.override?.leaving === true || stillOver(instance, draft, context),
})
