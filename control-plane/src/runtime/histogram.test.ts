import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Histogram } from './histogram.ts'

test('a value is in the first bucket that it fits into, its upper end included', () => {
  const histogram = new Histogram([1, 10])
  for (const value of [0, 1, 1.5, 10, 10.1, 1e9]) histogram.record(value)
  expect(histogram.counts).toEqual([2, 2, 2])
  expect(histogram.sum).toBeCloseTo(1e9 + 22.6)
})

test('what cannot be a duration counts as zero', () => {
  const histogram = new Histogram([1])
  for (const value of [-5, Number.NaN]) histogram.record(value)
  expect(histogram).toMatchObject({ counts: [2, 0], sum: 0 })
})

test('no value is lost, and each bucket holds what is between its ends', () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.integer({ min: 1, max: 1_000 }), { maxLength: 20 }),
      fc.array(fc.integer({ min: 0, max: 2_000 })),
      (ends, values) => {
        const bounds = ends.sort((a, b) => a - b)
        const histogram = new Histogram(bounds)
        for (const value of values) histogram.record(value)
        const expected = [...bounds, Infinity].map(
          (end, index) =>
            values.filter(value => value <= end && (index === 0 || value > (bounds[index - 1] ?? 0))).length,
        )
        expect(histogram.counts).toEqual(expected)
        expect(histogram.sum).toBe(values.reduce((sum, value) => sum + value, 0))
      },
    ),
  )
})
