import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { SmallSet } from './small-set.ts'

const members = Array.from({ length: 4 }, (_, id) => ({ id }))

test('a small set behaves like a set', () => {
  const step = fc.record({ add: fc.boolean(), member: fc.constantFrom(...members) })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), steps => {
      const small = new SmallSet<object>()
      const model = new Set<object>()
      for (const { add, member } of steps) {
        if (add) {
          small.add(member)
          model.add(member)
        } else expect(small.delete(member)).toBe(model.delete(member))
        expect(small.size).toBe(model.size)
        expect([...small]).toEqual([...model])
      }
    }),
  )
})

test('members may leave while they are visited', () => {
  const set = new SmallSet<object>()
  for (const member of members) set.add(member)
  const visited: object[] = []
  for (const member of set) {
    visited.push(member)
    for (const other of members) set.delete(other)
  }
  expect(visited).toEqual([members[0]])
})
