import type { Evidence } from '../domain/evidence.ts'
import type { Instance } from '../domain/instance.ts'
import type { RestContext } from './context.ts'
import type { Pulse } from './ports.ts'
import type { InstanceDetailView } from './schemas/instance.ts'
import { instanceView } from './views.ts'

/** When the status of this evidence was last confirmed, which the log does not carry. */
const confirmedAt = (evidence: Evidence, pulse: Pulse): string | null => {
  // A lease row says that the instance beats. It does not confirm that the lease has expired.
  if (evidence.source === 'lease') return evidence.status === 'passing' ? pulse.leaseSeenAt : null
  const { source, status } = evidence
  return pulse.observations.find(seen => seen.source === source && seen.status === status)?.observedAt ?? null
}

const withTime = (evidence: Evidence, pulse: Pulse): Evidence => {
  const at = confirmedAt(evidence, pulse)
  return at !== null && Date.parse(at) > Date.parse(evidence.observedAt)
    ? { ...evidence, observedAt: at }
    : evidence
}

/**
 * An instance with the times at which its evidence was last confirmed, as the database has them. Without an
 * answer from it in time, memory's times stand, and `freshness` says so: never "seen long ago" for "not asked".
 */
export const freshInstance = async (
  instance: Instance,
  { pulses, clock, limits, logger }: RestContext,
): Promise<InstanceDetailView> => {
  const late = new AbortController()
  try {
    const timeout = clock.sleep(limits.pulseTimeoutMs, late.signal).then(() => null)
    const pulse = await Promise.race([pulses.readPulse(instance.service, instance.id), timeout])
    if (pulse !== null) {
      const evidence = instance.evidence.map(one => withTime(one, pulse))
      return { ...instanceView({ ...instance, evidence }), freshness: 'live' }
    }
  } catch (error) {
    logger.debug({ err: error }, 'times of evidence could not be read')
  } finally {
    late.abort()
  }
  return { ...instanceView(instance), freshness: 'log' }
}
