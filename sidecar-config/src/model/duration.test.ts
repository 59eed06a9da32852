import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { durationMs, durationPattern, formatDuration, parseDuration } from './duration.ts'

describe('durations', () => {
  it.each([
    ['0s', 0],
    ['1ms', 1],
    ['0.001s', 1],
    ['1.5s', 1_500],
    ['10m', 600_000],
    ['2h', 7_200_000],
    ['8760h', 31_536_000_000],
  ])('%s is %d ms', (text, ms) => {
    expect(parseDuration(text)).toBe(ms)
    expect(text).toMatch(new RegExp(durationPattern))
  })

  it.each([
    '',
    '5',
    's',
    '-1s',
    '+1s',
    '1 s',
    '1S',
    '1d',
    '.5s',
    '1.s',
    '1e3s',
    'Infinitys',
    '0.5ms',
    '8761h',
    '1s1m',
  ])('"%s" is none', text => {
    expect(parseDuration(text)).toBeUndefined()
    expect(() => durationMs(text)).toThrow(/accepted: a number and a unit/)
  })

  it('is read as it was written', () => {
    fc.assert(
      fc.property(fc.nat({ max: 31_536_000_000 }), ms => {
        const text = formatDuration(ms)
        expect(parseDuration(text)).toBe(ms)
        expect(text).toMatch(new RegExp(durationPattern))
      }),
    )
  })

  it('is written for whole milliseconds only', () => {
    for (const ms of [-1, 0.5, Number.NaN, Infinity]) expect(() => formatDuration(ms)).toThrow(RangeError)
  })
})
