import type { TrafficHold } from './traffic-hold.ts'

export type EvidenceStatus = 'passing' | 'warning' | 'critical'

/**
 * Where an observation comes from: `lease` (heartbeats), `report` (the instance's own words on a heartbeat),
 * `check:{index}` (an active check, by its place in the registration), `service-check:{index}` (an active check, by its
 * place in the document of its service), `traffic` (load reports).
 */
export type EvidenceSource = 'lease' | 'report' | 'traffic' | `check:${number}` | `service-check:${number}`

/** One observation about an instance. Times are ISO 8601 in Postgres time. */
export interface Evidence {
  readonly source: EvidenceSource
  /** Who saw it: a replica, the instance itself, a group of sidecars. */
  readonly observer: string
  readonly status: EvidenceStatus
  /** What was seen, in words; at most 1,024 characters. */
  readonly output: string
  /** When this status was last confirmed. */
  readonly observedAt: string
  /** After this moment the observation says nothing any more: a review (registry/review.ts) draws the verdict anew. null: valid until replaced. */
  readonly validUntil: string | null
  /** Since when the source has said this status. */
  readonly since: string
  /** Only of `traffic`: what becomes of the instance. */
  readonly hold?: TrafficHold
}

/** Whether its lease is over. */
export const isExpired = (evidence: readonly Evidence[]): boolean =>
  evidence.some(({ source, status }) => source === 'lease' && status === 'critical')
