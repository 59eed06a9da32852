import pg from 'pg'
import { describe, expect, it } from 'vitest'
import { isUnavailable } from './unavailable.ts'

describe('a database', () => {
  const says = (code: string): pg.DatabaseError =>
    Object.assign(new pg.DatabaseError('no', 2, 'error'), { code })

  it.each([
    ['is shutting down', '57P01'],
    ['is starting', '57P03'],
    ['has too many connections', '53300'],
    ['is a standby', '25006'],
    ['has ended a transaction that stood still', '25P03'],
    ['is being restored', '3D000'],
    ['has no tables yet', '42P01'],
  ])('that %s cannot answer now', (_what, code) => {
    expect(isUnavailable(says(code))).toBe(true)
  })

  it.each([
    ['a duplicate', '23505'],
    ['a missing column', '42703'],
  ])('that says %s has answered', (_what, code) => {
    expect(isUnavailable(says(code))).toBe(false)
  })
})
