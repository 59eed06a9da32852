import fc from 'fast-check'
import { expect, it } from 'vitest'
import { wrap } from './wrap.ts'

it('breaks at spaces, keeps every word, and goes beyond the width only for a word that is longer', () => {
  const word = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), minLength: 1, maxLength: 12 })
  fc.assert(
    fc.property(
      fc.array(word, { minLength: 1, maxLength: 20 }),
      fc.integer({ min: 4, max: 30 }),
      (words, width) => {
        const text = `  ${words.join(' ')}`
        const lines = wrap(text, { width, indent: '  ' }).split('\n')
        expect(lines.join(' ').trim().split(/ +/)).toEqual(words)
        for (const line of lines)
          expect(line.length <= width || line.trim().split(' ').length === 1).toBe(true)
      },
    ),
  )
})

it('leaves text alone where lines are not broken', () => {
  expect(wrap('a b c', { width: undefined, indent: '' })).toBe('a b c')
})
