import { isExpired } from '../domain/evidence.ts'
import type { Instance } from '../domain/instance.ts'

/** When an instance is removed that does not leave (any more): only an expired one has an end. ISO 8601. */
export const endOfExpired = ({ spec, evidence }: Instance, now: number): string | null => {
  const afterMs = isExpired(evidence) ? (spec.lease?.deregisterAfterMs ?? null) : null
  return afterMs === null ? null : new Date(now + afterMs).toISOString()
}
