import type { CheckSpec } from '@waymark/sidecar-config/model/check.ts'
import type { Evidence } from './evidence.ts'
import type { Flapping } from './flapping.ts'
import type { Revision } from './revision.ts'
import type { Override, Verdict } from './verdict.ts'

export interface Locality {
  readonly region: string
  readonly zone: string
}

/** The promise of an instance to send a heartbeat within its TTL. Milliseconds. */
export interface LeaseSpec {
  readonly ttlMs: number
  /** How long after expiry the instance is removed; null: never. */
  readonly deregisterAfterMs: number | null
}

/** What a registration says, with every default filled in. Equal specs are equal registrations. */
export interface InstanceSpec {
  /** An IP address. */
  readonly address: string
  readonly port: number
  readonly version: string | null
  /** 1 to 1,000; shares of traffic within the service. */
  readonly weight: number
  readonly metadata: Readonly<Record<string, string>>
  readonly locality: Locality
  /** null: the instance never beats. */
  readonly lease: LeaseSpec | null
  readonly checks: readonly CheckSpec[]
  /** With a sidecar, callers reach the instance through its Envoy at `address:port` of this. */
  readonly sidecar: { readonly port: number } | null
}

/** One running copy of a service, as the registry knows it at `revision`. */
export interface Instance {
  readonly service: string
  readonly id: string
  /**
   * Distinguishes processes that register under the same id: every accepted registration gets a greater one.
   * A repeated, equal registration raises it in the database without a revision, so a value in memory may be
   * older than the database's; only a write may judge by it.
   */
  readonly incarnation: number
  readonly spec: InstanceSpec
  readonly verdict: Verdict
  readonly evidence: readonly Evidence[]
  readonly override: Override | null
  /** Of changes of verdict that are not long ago; null: there are none. */
  readonly flapping: Flapping | null
  /** When the verdict may change by itself: an override or a hold ends, evidence goes stale; ISO 8601, Postgres time. */
  readonly reviewAt: string | null
  /** When a draining or expired instance is removed; ISO 8601, Postgres time. */
  readonly removeAt: string | null
  readonly registeredAt: string
  /** The revision that last changed it. */
  readonly revision: Revision
}

export const instanceKey = (service: string, id: string): string => `${service}/${id}`
