import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { delayToPhase, phaseOf } from './phase.ts'
import { rendezvousOwner } from './rendezvous.ts'

const replicas = fc.uniqueArray(fc.string({ minLength: 1, maxLength: 12 }), { minLength: 1, maxLength: 8 })

describe('rendezvous hashing', () => {
  it('has no owner without candidates', () => {
    expect(rendezvousOwner('key', [])).toBeUndefined()
  })

  it('chooses one of the candidates, the same in whatever order they are given', () => {
    fc.assert(
      fc.property(fc.string(), replicas, (key, candidates) => {
        const owner = rendezvousOwner(key, candidates)
        expect(candidates).toContain(owner)
        expect(rendezvousOwner(key, [...candidates].reverse())).toBe(owner)
      }),
    )
  })

  it('moves only the keys of a candidate that leaves, and only to one that joins', () => {
    fc.assert(
      fc.property(fc.string(), replicas, fc.string({ minLength: 1 }), (key, candidates, other) => {
        const without = candidates.filter(candidate => candidate !== other)
        const before = rendezvousOwner(key, without)
        const after = rendezvousOwner(key, [...without, other])
        expect([before, other]).toContain(after)
      }),
    )
  })

  it('spreads keys evenly, also over names that differ in one character', () => {
    const candidates = ['waymark-0', 'waymark-1', 'waymark-2']
    const counts = new Map(candidates.map(candidate => [candidate, 0]))
    for (let index = 0; index < 3_000; index += 1) {
      const owner = rendezvousOwner(`payments/payments-${index}`, candidates) ?? ''
      counts.set(owner, (counts.get(owner) ?? 0) + 1)
    }
    for (const count of counts.values()) {
      expect(count).toBeGreaterThan(850)
      expect(count).toBeLessThan(1_150)
    }
  })
})

describe('the phase of a check', () => {
  it('lies within its interval and spreads over it', () => {
    const tenths = new Set<number>()
    for (let index = 0; index < 200; index += 1) {
      const phase = phaseOf(`orders/orders-${index}#0`, 5_000)
      expect(phase).toBeGreaterThanOrEqual(0)
      expect(phase).toBeLessThan(5_000)
      tenths.add(Math.floor(phase / 500))
    }
    expect(tenths.size).toBe(10)
  })

  it('is reached by the delay, half an interval to one and a half from now', () => {
    fc.assert(
      fc.property(fc.nat(10_000_000), fc.integer({ min: 2, max: 60_000 }), fc.nat(), (now, interval, any) => {
        const phase = any % interval
        const delay = delayToPhase(now, phase, interval)
        expect((now + delay) % interval).toBe(phase)
        expect(delay).toBeGreaterThanOrEqual(interval / 2)
        expect(delay).toBeLessThan(interval * 1.5)
      }),
    )
  })
})
