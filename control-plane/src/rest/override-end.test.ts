import { describe, expect, it } from 'vitest'
import { overrideEnd } from './override-end.ts'
import { parseMoment } from './read/moment.ts'

describe('a time', () => {
  it('may be any of the years of four digits', () => {
    expect(overrideEnd({ expiresAt: '9999-12-31T23:59:59Z' })).toEqual({ at: '9999-12-31T23:59:59.000Z' })
    expect(parseMoment('0001-01-01T00:00:00Z')).toEqual({ time: '0001-01-01T00:00:00.000Z' })
  })

  it.each(['9999-12-31T23:59:59-05:00', '0000-12-31T23:59:59Z', '2030-06-30T23:59:60Z'])(
    'of another year, or that does not exist, is refused: %s',
    time => {
      expect(() => overrideEnd({ expiresAt: time })).toThrow('the end of the override is not accepted')
      expect(() => parseMoment(time)).toThrow('?at is no moment')
    },
  )
})
