import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { afterResult, initialCheckState, type CheckState, type Thresholds } from './threshold.ts'

const run = (from: CheckState, results: readonly boolean[], thresholds: Thresholds): CheckState =>
  results.reduce((state, ok) => afterResult(state, ok, thresholds), from)
const thresholds = { healthyThreshold: 2, unhealthyThreshold: 3 }
const undecided = initialCheckState(undefined)

describe('the threshold of a check', () => {
  it('lets the first success decide, failures only in a row', () => {
    expect(run(undecided, [true], thresholds).status).toBe('passing')
    expect(run(undecided, [false, false], thresholds).status).toBeNull()
    expect(run(undecided, [false, false, false], thresholds).status).toBe('critical')
    expect(run(undecided, [false, false, true], thresholds).status).toBe('passing')
  })

  it('needs its row of results for every later change', () => {
    const passing = initialCheckState('passing')
    expect(run(passing, [false, false, true, false, false], thresholds).status).toBe('passing')
    expect(run(passing, [false, false, false], thresholds).status).toBe('critical')
    const critical = initialCheckState('critical')
    expect(run(critical, [true, false, true], thresholds).status).toBe('critical')
    expect(run(critical, [true, true], thresholds).status).toBe('passing')
  })

  it('stands by the stored evidence until its own results are enough', () => {
    expect(initialCheckState('critical')).toEqual({ status: 'critical', against: 0 })
    expect(initialCheckState('warning')).toEqual({ status: 'passing', against: 0 })
  })

  it('changes exactly when the last results in a row reach the threshold', () => {
    const anyThresholds = fc.record({
      healthyThreshold: fc.integer({ min: 1, max: 5 }),
      unhealthyThreshold: fc.integer({ min: 1, max: 5 }),
    })
    const anyStart = fc.constantFrom('passing' as const, 'critical' as const)
    fc.assert(
      fc.property(
        anyStart,
        fc.array(fc.boolean(), { maxLength: 40 }),
        anyThresholds,
        (start, results, limits) => {
          // The model: look back over the whole history instead of counting.
          let expected: 'passing' | 'critical' = start
          let state = initialCheckState(start)
          for (const [index, ok] of results.entries()) {
            state = afterResult(state, ok, limits)
            const needed = ok ? limits.healthyThreshold : limits.unhealthyThreshold
            const row = results.slice(Math.max(0, index + 1 - needed), index + 1)
            if (row.length === needed && row.every(one => one === ok)) expected = ok ? 'passing' : 'critical'
            expect(state.status).toBe(expected)
          }
        },
      ),
    )
  })
})
