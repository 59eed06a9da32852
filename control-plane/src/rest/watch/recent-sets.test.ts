import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { RecentSets } from './recent-sets.ts'

const set = (revision: number) => ({ revision, changes: [] })
const delta = (first: number, count: number) => ({
  revision: first + count - 1,
  sets: Array.from({ length: count }, (_, n) => set(first + n)),
  resynchronised: false,
})

describe('RecentSets', () => {
  it('gives what follows a cursor without a gap, or says that it no longer can', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 7 })), fc.nat(60), fc.nat(5), (steps, cursor, limit) => {
        const recent = new RecentSets({ capacity: 5, revision: 10 })
        let head = 10
        for (const count of steps) {
          recent.add(delta(head + 1, count))
          head += count
        }
        const found = recent.after(cursor, limit)
        if (found === undefined) {
          // Never given up while the last `capacity` revisions would do.
          expect(cursor).toBeLessThan(Math.max(10, head - 5))
        } else {
          const all = Array.from({ length: Math.max(0, head - cursor) }, (_, n) => cursor + 1 + n)
          expect(found.map(({ revision }) => revision)).toEqual(all.slice(0, limit))
        }
      }),
    )
  })

  it('starts anew after a resynchronisation', () => {
    const recent = new RecentSets({ capacity: 5, revision: 0 })
    recent.add(delta(1, 3))
    recent.add({ revision: 100, sets: [], resynchronised: true })
    expect(recent.after(3, 10)).toBeUndefined()
    expect(recent.after(100, 10)).toEqual([])
    recent.add(delta(101, 1))
    expect(recent.after(100, 10)).toEqual([set(101)])
  })

  it('has nothing for a cursor ahead of this replica', () => {
    const recent = new RecentSets({ capacity: 5, revision: 10 })
    expect(recent.after(20, 10)).toEqual([])
    recent.add(delta(11, 12))
    expect(recent.after(20, 10)?.map(({ revision }) => revision)).toEqual([21, 22])
  })
})
