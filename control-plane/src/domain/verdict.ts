import type { Evidence } from './evidence.ts'

export const verdicts = ['healthy', 'degraded', 'unhealthy', 'draining', 'maintenance', 'unknown'] as const
export type Verdict = (typeof verdicts)[number]

/** An operator's word, or the instance's own announcement that it leaves: stronger than any evidence. */
export interface Override {
  readonly status: 'maintenance' | 'draining'
  readonly reason: string
  /** The instance itself leaves (deregistered with a drain); false: an operator's word. */
  readonly leaving: boolean
  readonly actor: string
  readonly since: string
}

interface EvidenceView {
  readonly evidence: readonly Evidence[]
  readonly override: Override | null
}

/**
 * The health computed from an instance's evidence: the override first, then the worst valid evidence
 * (critical -> unhealthy, warning -> degraded, passing -> healthy); without valid evidence `unknown`.
 * Pure: `now` (ms since the epoch, Postgres time) decides what is still valid.
 */
export const verdictOf = (view: EvidenceView, now: number): Verdict => {
  if (view.override !== null) return view.override.status
  let verdict: Verdict = 'unknown'
  for (const { status, validUntil } of view.evidence) {
    if (validUntil !== null && Date.parse(validUntil) <= now) continue
    if (status === 'critical') return 'unhealthy'
    if (status === 'warning') verdict = 'degraded'
    else if (verdict === 'unknown') verdict = 'healthy'
  }
  return verdict
}
