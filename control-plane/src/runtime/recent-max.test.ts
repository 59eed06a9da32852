import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { RecentMax } from './recent-max.ts'

describe('RecentMax', () => {
  it('knows nothing at first', () => {
    expect(new RecentMax({ windowMs: 10 }).at(1_000)).toBe(0)
  })

  it('is between the largest of half a window and the largest of a whole one', () => {
    const step = fc.record({ passed: fc.nat(8), value: fc.nat(100) })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 50 }), fc.nat(12), (steps, later) => {
        const recent = new RecentMax({ windowMs: 10 })
        const seen: { at: number; value: number }[] = []
        let now = 0
        for (const { passed, value } of steps) {
          now += passed
          recent.record(value, now)
          seen.push({ at: now, value })
        }
        now += later
        const largest = (ms: number) =>
          Math.max(0, ...seen.filter(({ at }) => now - at < ms).map(({ value }) => value))
        const answer = recent.at(now)
        expect(answer).toBeGreaterThanOrEqual(largest(5))
        expect(answer).toBeLessThanOrEqual(largest(10))
      }),
    )
  })
})
