import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decideExpiry, defaultSelfPreservation, leaseIsOver, type LapsedLease } from './expiry.ts'

const now = 1_000_000
const lapsed = (index: number, overrides: Partial<LapsedLease> = {}): LapsedLease => ({
  service: 's',
  id: `i-${index}`,
  incarnation: 1,
  ttlMs: 15_000,
  deregisterAfterMs: null,
  seenAt: now - 20_000,
  ...overrides,
})
const many = (count: number): LapsedLease[] => Array.from({ length: count }, (_, index) => lapsed(index))
const clock = { now, serviceSince: 0, graceMs: 0 }
const input = {
  ...clock,
  lapsed: many(1),
  leased: 100,
  recentlyExpired: 0,
  policy: defaultSelfPreservation,
}

describe('a lease', () => {
  it('is over when more than its TTL has passed since the last heartbeat', () => {
    expect(leaseIsOver({ seenAt: now - 15_000, ttlMs: 15_000 }, clock)).toBe(false)
    expect(leaseIsOver({ seenAt: now - 15_001, ttlMs: 15_000 }, clock)).toBe(true)
  })

  it('counts from the moment service was restored, if that is later', () => {
    const lease = { seenAt: now - 3_600_000, ttlMs: 15_000 }
    expect(leaseIsOver(lease, { ...clock, serviceSince: now - 15_000 })).toBe(false)
    expect(leaseIsOver(lease, { ...clock, serviceSince: now - 15_001 })).toBe(true)
  })
})

describe('expiry', () => {
  it('waits for heartbeats that may be on their way into the database', () => {
    const lease = { seenAt: now - 16_500, ttlMs: 15_000 }
    expect(leaseIsOver(lease, { ...clock, graceMs: 1_500 })).toBe(false)
    expect(leaseIsOver(lease, { ...clock, graceMs: 1_499 })).toBe(true)
  })

  it('lets a few go', () => {
    const decision = decideExpiry({ ...input, lapsed: many(3) })
    expect(decision.expire).toHaveLength(3)
    expect(decision.selfPreservation).toEqual({ active: false, expiring: 3, leased: 100, reason: null })
  })

  it('shelters everybody until a full TTL has passed since service was restored', () => {
    const decision = decideExpiry({ ...input, lapsed: many(50), serviceSince: now - 1_000 })
    expect(decision).toMatchObject({
      expire: [],
      sheltered: 50,
      shelteredMs: 15_000,
      selfPreservation: { active: false, expiring: 0 },
    })
  })

  it('lets 15 % go, and nobody when it would be one more', () => {
    expect(decideExpiry({ ...input, lapsed: many(15) }).expire).toHaveLength(15)
    const paused = decideExpiry({ ...input, lapsed: many(16) })
    expect(paused.expire).toEqual([])
    expect(paused.selfPreservation).toMatchObject({ active: true, expiring: 16, leased: 100 })
    expect(paused.selfPreservation.reason).toBe(
      '16 of 100 leased instances would expire within 15 s (16 are waiting), more than 15 %: ' +
        'the network or the control plane is the likelier cause',
    )
  })

  it('counts what has expired within the window', () => {
    expect(decideExpiry({ ...input, lapsed: many(5), recentlyExpired: 10 }).expire).toHaveLength(5)
    expect(decideExpiry({ ...input, lapsed: many(6), recentlyExpired: 10 }).expire).toEqual([])
  })

  it('is not paused for fewer than 10, whatever share they are', () => {
    expect(decideExpiry({ ...input, lapsed: many(9), leased: 9 }).expire).toHaveLength(9)
    expect(decideExpiry({ ...input, lapsed: many(10), leased: 10 }).expire).toEqual([])
  })

  it('is not paused when nothing is due', () => {
    expect(decideExpiry({ ...input, lapsed: [], recentlyExpired: 90 }).selfPreservation.active).toBe(false)
  })

  it('can be told never to pause', () => {
    const policy = { ...defaultSelfPreservation, maxFraction: 1 }
    expect(decideExpiry({ ...input, lapsed: many(100), policy }).expire).toHaveLength(100)
  })
})

const anyLapsed = fc
  .record({
    ttlMs: fc.integer({ min: 1_000, max: 60_000 }),
    silentMs: fc.integer({ min: 0, max: 200_000 }),
  })
  .map(({ ttlMs, silentMs }) => lapsed(0, { ttlMs, seenAt: now - silentMs }))
const anyInput = fc
  .record({
    lapsed: fc.array(anyLapsed, { maxLength: 60 }),
    others: fc.nat({ max: 200 }),
    recentlyExpired: fc.nat({ max: 30 }),
    serviceSince: fc.integer({ min: now - 200_000, max: now }),
    graceMs: fc.nat({ max: 2_000 }),
    policy: fc.record({
      maxFraction: fc.double({ min: 0, max: 1, noNaN: true }),
      minimum: fc.integer({ min: 1, max: 20 }),
      windowMs: fc.constant(15_000),
    }),
  })
  .map(({ others, ...rest }) => ({
    ...rest,
    now,
    leased: rest.lapsed.length + rest.recentlyExpired + others,
  }))

describe('every decision about expiry', () => {
  it('expires only leases that are over, since their heartbeat and since service was restored', () => {
    fc.assert(
      fc.property(anyInput, some => {
        for (const { seenAt, ttlMs } of decideExpiry(some).expire) {
          expect(now - seenAt).toBeGreaterThan(ttlMs + some.graceMs)
          expect(now - some.serviceSince).toBeGreaterThan(ttlMs + some.graceMs)
        }
      }),
    )
  })

  it('keeps within the share of a window, or below the minimum', () => {
    fc.assert(
      fc.property(anyInput, some => {
        const { expire } = decideExpiry(some)
        fc.pre(expire.length > 0)
        const gone = expire.length + some.recentlyExpired
        expect(gone <= some.policy.maxFraction * some.leased || gone < some.policy.minimum).toBe(true)
      }),
    )
  })

  it('expires all that are over, or says why not', () => {
    fc.assert(
      fc.property(anyInput, some => {
        const { expire, sheltered, selfPreservation } = decideExpiry(some)
        expect(selfPreservation.active).toBe(selfPreservation.reason !== null)
        if (!selfPreservation.active) expect(expire.length + sheltered).toBe(some.lapsed.length)
        else expect(expire).toEqual([])
      }),
    )
  })
})
