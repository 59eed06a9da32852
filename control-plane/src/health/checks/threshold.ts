import type { EvidenceStatus } from '../../domain/evidence.ts'

export interface Thresholds {
  readonly healthyThreshold: number
  readonly unhealthyThreshold: number
}

/**
 * What one check thinks of its instance: the status it stands by (null: not decided yet) and how many results
 * in a row say otherwise.
 */
export interface CheckState {
  readonly status: 'passing' | 'critical' | null
  /** Results in a row that contradict `status`; failures in a row while it is undecided. */
  readonly against: number
}

/** A new owner starts from the stored evidence, so that it needs a full row of results to override it. */
export const initialCheckState = (stored: EvidenceStatus | undefined): CheckState => ({
  status: stored === undefined ? null : stored === 'critical' ? 'critical' : 'passing',
  against: 0,
})

/**
 * The next state after one result. `healthyThreshold` successes in a row turn critical into passing,
 * `unhealthyThreshold` failures in a row turn passing into critical. While undecided the first success decides
 * (an instance that has just started should not wait for traffic), failures need their threshold.
 */
export const afterResult = (state: CheckState, ok: boolean, thresholds: Thresholds): CheckState => {
  const said = ok ? 'passing' : 'critical'
  if (state.status === said) return state.against === 0 ? state : { status: said, against: 0 }
  if (state.status === null && ok) return { status: 'passing', against: 0 }
  const against = state.against + 1
  const needed = ok ? thresholds.healthyThreshold : thresholds.unhealthyThreshold
  return against >= needed ? { status: said, against: 0 } : { status: state.status, against }
}
