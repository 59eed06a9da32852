import { describe, expect, it } from 'vitest'
import { ago, table } from './table.ts'

describe('table', () => {
  it('aligns columns and leaves no trailing space', () => {
    expect(
      table(
        ['name', 'n', 'words'],
        [
          ['payments', '1', 'a b'],
          ['a', '10', ''],
        ],
      ),
    ).toBe('NAME      N   WORDS\npayments  1   a b\na         10')
  })

  it('says that there is nothing', () => {
    expect(table(['name'], [], 'no services')).toBe('no services')
  })

  it('keeps what comes from elsewhere from steering the terminal', () => {
    expect(table(['name'], [['a\u001b[31mred\nb\u009b2J']])).toBe('NAME\na [31mred b 2J')
  })
})

describe('ago', () => {
  it.each([
    ['2026-01-01T00:00:00Z', '0s'],
    ['2025-12-31T23:59:50Z', '10s'],
    ['2025-12-31T23:55:00Z', '5m'],
    ['2025-12-31T20:00:00Z', '4h'],
    ['2025-12-20T00:00:00Z', '12d'],
    ['2026-01-01T00:00:05Z', '0s'],
  ])('%s is %s ago', (then, text) => {
    expect(ago(then, '2026-01-01T00:00:00Z')).toBe(text)
    expect(ago(then, Date.parse('2026-01-01T00:00:00Z'))).toBe(text)
  })
})
