import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { BitSet } from './bit-set.ts'
import { SubscribersByName } from './subscribers.ts'

test('a bit set behaves like a set of numbers', () => {
  const member = fc.oneof(fc.nat(70), fc.nat(5_000))
  fc.assert(
    fc.property(
      fc.array(fc.record({ add: fc.boolean(), member }), { size: 'max', maxLength: 300 }),
      steps => {
        const bits = new BitSet()
        const model = new Set<number>()
        for (const { add, member } of steps) {
          const changes = model.has(member) !== add
          if (add) model.add(member)
          else model.delete(member)
          expect(add ? bits.add(member) : bits.delete(member)).toBe(changes)
          expect([bits.size, bits.has(member)]).toEqual([model.size, add])
        }
        const members: number[] = []
        bits.each(each => members.push(each))
        const sorted = [...model].sort((a, b) => a - b)
        expect(members).toEqual(sorted)
        const copy = bits.copy()
        for (const start of [0, 31, 32, 70, 1_023, 1_024, 5_001]) {
          expect(copy.from(start)).toBe(sorted.find(each => each >= start))
        }
        for (const each of sorted) copy.delete(each)
        expect([copy.size, copy.from(0), bits.size]).toEqual([0, undefined, sorted.length])
      },
    ),
  )
})

test('a name tells exactly its subscribers, few or many', () => {
  const step = fc.record({
    /** All of a run of subscribers join or leave, so that a name comes to have many and few again. */
    join: fc.boolean(),
    name: fc.constantFrom('a', 'b', 'c'),
    from: fc.nat(60),
    count: fc.integer({ min: 1, max: 50 }),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), steps => {
      const index = new SubscribersByName()
      const told: number[] = []
      const subscribers = Array.from({ length: 110 }, (_, id) => ({ touch: () => told.push(id) }))
      const model = new Map<string, Set<number>>()
      for (const { join, name, from, count } of steps) {
        const members = model.get(name) ?? new Set<number>()
        for (const [offset, subscriber] of subscribers.slice(from, from + count).entries()) {
          if (join) index.add(name, subscriber)
          else index.remove(name, subscriber)
          if (join) members.add(from + offset)
          else members.delete(from + offset)
        }
        if (members.size > 0) model.set(name, members)
        else model.delete(name)
        expect(index.size).toBe(model.size)
        for (const asked of ['a', 'b', 'c']) {
          told.length = 0
          index.touch(asked, 1)
          const expected = [...(model.get(asked) ?? [])]
          expect(told.toSorted((a, b) => a - b)).toEqual(expected.sort((a, b) => a - b))
        }
      }
    }),
  )
})
