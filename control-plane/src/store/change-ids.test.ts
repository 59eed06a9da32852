import { validate, version } from 'uuid'
import { expect, it } from 'vitest'
import { ChangeIds } from './change-ids.ts'

it('makes UUIDs of version 7, no two alike, also when its random bytes are fetched anew', () => {
  const ids = new ChangeIds()
  const made = Array.from({ length: 1_000 }, () => ids.next())
  expect(new Set(made).size).toBe(1_000)
  expect(new Set(made.map(id => id.slice(-8))).size).toBe(1_000)
  for (const id of made) expect([validate(id), version(id)]).toEqual([true, 7])
})
