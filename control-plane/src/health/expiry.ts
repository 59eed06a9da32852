/** A leased instance whose lease row is older than its TTL and that is not marked expired yet. Postgres time. */
export interface LapsedLease {
  readonly service: string
  readonly id: string
  readonly incarnation: number
  readonly ttlMs: number
  readonly deregisterAfterMs: number | null
  /** Milliseconds since the epoch. */
  readonly seenAt: number
}

/** Expiring too many at once says more about the network or about us than about the instances. */
export interface SelfPreservationPolicy {
  /** 0 to 1: expiry pauses when more than this share of all leased instances would go within one window. */
  readonly maxFraction: number
  /** Fewer than this many never pause expiry, whatever share they are. */
  readonly minimum: number
  readonly windowMs: number
}

export const defaultSelfPreservation: SelfPreservationPolicy = {
  maxFraction: 0.15,
  minimum: 10,
  windowMs: 15_000,
}

/** What decides whether a lease is over, besides the lease. */
export interface LeaseClock {
  /** Postgres time: milliseconds since the epoch. */
  readonly now: number
  /** Since when heartbeats have been taken without interruption. */
  readonly serviceSince: number
  /** How long a heartbeat that was taken in time may be on its way into the database. */
  readonly graceMs: number
}

/** A lease counts from its last heartbeat or from the moment service was restored, whichever is later. */
export const leaseIsOver = (
  lease: { readonly seenAt: number; readonly ttlMs: number },
  { now, serviceSince, graceMs }: LeaseClock,
): boolean => now - Math.max(lease.seenAt, serviceSince) > lease.ttlMs + graceMs

export interface ExpiryInput extends LeaseClock {
  readonly lapsed: readonly LapsedLease[]
  /** All instances with a lease that are not leaving. */
  readonly leased: number
  /** How many this owner has expired within the last window. */
  readonly recentlyExpired: number
  readonly policy: SelfPreservationPolicy
}

export interface SelfPreservation {
  readonly active: boolean
  /** How many would have gone within one window. */
  readonly expiring: number
  readonly leased: number
  /** null while inactive. */
  readonly reason: string | null
}

export interface ExpiryDecision {
  readonly expire: readonly LapsedLease[]
  /** Lapsed, but in their grace, or a full TTL since service was restored has not passed. */
  readonly sheltered: number
  /** The longest TTL among the sheltered. */
  readonly shelteredMs: number
  readonly selfPreservation: SelfPreservation
}

/**
 * Which leases expire now. All that are over, or none: when they and those of the last window together are
 * more than the policy's share (and at least its minimum), expiry pauses until enough have come back or left.
 * So within any window at most max(maxFraction of all, minimum - 1) instances expire. Pure.
 */
export const decideExpiry = (input: ExpiryInput): ExpiryDecision => {
  const { lapsed, leased, recentlyExpired, policy } = input
  const due = lapsed.filter(lease => leaseIsOver(lease, input))
  const sheltered = lapsed.filter(lease => !leaseIsOver(lease, input))
  const expiring = due.length === 0 ? 0 : due.length + recentlyExpired
  const active = expiring >= policy.minimum && expiring > policy.maxFraction * leased
  return {
    expire: active ? [] : due,
    sheltered: sheltered.length,
    shelteredMs: sheltered.reduce((longest, { ttlMs }) => Math.max(longest, ttlMs), 0),
    selfPreservation: {
      active,
      expiring,
      leased,
      reason: active ? describe(input, expiring, due.length) : null,
    },
  }
}

const describe = ({ leased, policy }: ExpiryInput, expiring: number, due: number): string =>
  `${expiring} of ${leased} leased instances would expire within ${policy.windowMs / 1_000} s ` +
  `(${due} are waiting), more than ${Math.round(policy.maxFraction * 1_000) / 10} %: ` +
  'the network or the control plane is the likelier cause'
