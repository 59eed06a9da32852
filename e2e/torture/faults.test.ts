import fc from 'fast-check'
import { expect, test } from 'vitest'
import { faultKinds, scheduleFaults } from './faults.ts'

const seeds = fc.nat(1_000_000)
const durations = fc.integer({ min: 0, max: 300_000 })

test('a seed gives the same faults, and a longer run begins like a shorter one', () => {
  fc.assert(
    fc.property(seeds, durations, durations, (seed, a, b) => {
      const [short, long] = [scheduleFaults(seed, Math.min(a, b)), scheduleFaults(seed, Math.max(a, b))]
      expect(long.slice(0, short.length)).toEqual(short)
    }),
  )
})

test('faults do not overlap, end in time, and every kind comes before one comes again', () => {
  fc.assert(
    fc.property(seeds, durations, (seed, durationMs) => {
      let end = 0
      const faults = scheduleFaults(seed, durationMs)
      for (const { atMs, forMs } of faults) {
        expect(atMs).toBeGreaterThan(end)
        end = atMs + forMs
      }
      expect(end).toBeLessThanOrEqual(durationMs)
      for (let round = 0; round + faultKinds.length <= faults.length; round += faultKinds.length) {
        const kinds = faults.slice(round, round + faultKinds.length).map(({ kind }) => kind)
        expect(new Set(kinds).size).toBe(faultKinds.length)
      }
    }),
  )
})
