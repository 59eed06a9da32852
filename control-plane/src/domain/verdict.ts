import type { Evidence } from './evidence.ts'

export const verdicts = ['healthy', 'degraded', 'unhealthy', 'draining', 'maintenance', 'unknown'] as const
export type Verdict = (typeof verdicts)[number]
/** A verdict that evidence alone can give. */
export type EvidenceVerdict = Exclude<Verdict, 'draining' | 'maintenance'>

/** An operator's word, or the instance's own announcement that it leaves: stronger than any evidence. */
export interface Override {
  readonly status: 'maintenance' | 'draining'
  readonly reason: string
  /** The instance itself leaves (deregistered with a drain); false: an operator's word. */
  readonly leaving: boolean
  readonly actor: string
  readonly since: string
  /** When it ends by itself; ISO 8601, Postgres time; null: when it is taken back. */
  readonly expiresAt: string | null
}

/**
 * The health that evidence alone speaks for: the worst of what is valid (critical -> unhealthy, warning -> degraded,
 * passing -> healthy); without valid evidence `unknown`. Pure: `now` (ms since the epoch, Postgres time) decides what
 * is still valid.
 */
export const evidenceVerdict = (evidence: readonly Evidence[], now: number): EvidenceVerdict => {
  let verdict: 'healthy' | 'degraded' | 'unknown' = 'unknown'
  for (const { status, validUntil } of evidence) {
    if (validUntil !== null && Date.parse(validUntil) <= now) continue
    if (status === 'critical') return 'unhealthy'
    if (status === 'warning') verdict = 'degraded'
    else if (verdict === 'unknown') verdict = 'healthy'
  }
  return verdict
}
