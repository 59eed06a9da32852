import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { SweepSeries } from './sweep-series.ts'

const series = (): SweepSeries => new SweepSeries({ maxGapMs: 3_000, windowMs: 15_000 })

describe('a series of sweeps', () => {
  it('begins with the first sweep and goes on without a long gap', () => {
    const sweeps = series()
    expect([1_000, 2_000, 5_000].map(now => sweeps.continueAt(now))).toEqual([true, false, false])
    expect(sweeps.serviceSince).toBe(1_000)
  })

  it('begins anew after a gap, after a clock that went back, and when it is reset', () => {
    const sweeps = series()
    sweeps.continueAt(1_000)
    expect(sweeps.continueAt(4_001)).toBe(true)
    expect(sweeps.serviceSince).toBe(4_001)
    expect(sweeps.continueAt(3_000)).toBe(true)
    expect(sweeps.serviceSince).toBe(3_000)
    sweeps.reset()
    expect(sweeps.continueAt(3_001)).toBe(true)
    expect(sweeps.serviceSince).toBe(3_001)
  })

  it('never lies with serviceSince: every gap since then was short', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -10_000, max: 10_000 }), { minLength: 1 }), steps => {
        const sweeps = series()
        let now = 1_000_000
        const seen: number[] = []
        for (const step of steps) {
          now += step
          sweeps.continueAt(now)
          seen.push(now)
        }
        const from = seen.lastIndexOf(sweeps.serviceSince)
        expect(from).toBeGreaterThanOrEqual(0)
        for (let index = from + 1; index < seen.length; index += 1) {
          const gap = (seen[index] ?? 0) - (seen[index - 1] ?? 0)
          expect(gap).toBeGreaterThanOrEqual(0)
          expect(gap).toBeLessThanOrEqual(3_000)
        }
      }),
    )
  })

  it('counts expiries for one window', () => {
    const sweeps = series()
    sweeps.continueAt(0)
    sweeps.expired(0, 4)
    for (let now = 1_000; now < 15_000; now += 1_000) sweeps.continueAt(now)
    expect(sweeps.recentlyExpired).toBe(4)
    sweeps.continueAt(15_000)
    expect(sweeps.recentlyExpired).toBe(0)
  })
})
