import { describe, expect, it } from 'vitest'
import { WaymarkError } from '../domain/errors.ts'
import { etagOf, isCurrent, preconditionOf } from './etag.ts'

describe('preconditionOf', () => {
  it('reads what a write may ask for', () => {
    expect(preconditionOf({})).toBeNull()
    expect(preconditionOf({ 'if-match': etagOf(17) })).toBe(17)
    expect(preconditionOf({ 'if-match': ' "17" ' })).toBe(17)
    expect(preconditionOf({ 'if-none-match': '*' })).toBe('absent')
  })

  it.each([
    [{ 'if-match': '17' }],
    [{ 'if-match': '*' }],
    [{ 'if-match': 'W/"17"' }],
    [{ 'if-match': '"17", "18"' }],
    [{ 'if-match': '"x"' }],
    [{ 'if-match': '' }],
    [{ 'if-none-match': '"17"' }],
    [{ 'if-match': '"17"', 'if-none-match': '*' }],
  ])('refuses %j rather than write unconditionally', headers => {
    expect(() => preconditionOf(headers)).toThrow(WaymarkError)
  })
})

describe('isCurrent', () => {
  it('compares weakly and reads lists', () => {
    expect(isCurrent(undefined, 17)).toBe(false)
    expect(isCurrent('"16"', 17)).toBe(false)
    for (const tags of ['"17"', 'W/"17"', '"3", "17"', '*'])
      expect([tags, isCurrent(tags, 17)]).toEqual([tags, true])
  })
})
