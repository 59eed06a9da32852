import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { mentions } from './refusals.ts'

test('a cluster is mentioned when its name stands alone', () => {
  const text = 'Error adding/updating cluster(s) payments: no endpoints, web/v2: bad'
  expect(mentions(text, 'payments')).toBe(true)
  expect(mentions(text, 'web/v2')).toBe(true)
  expect(mentions(text, 'web')).toBe(false)
  expect(mentions(text, 'pay')).toBe(false)
})

test('an empty name is never mentioned, whatever the text', () => {
  fc.assert(
    fc.property(fc.string(), text => {
      expect(mentions(text, '')).toBe(false)
    }),
  )
})
