import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { KnownIncarnations } from './known-incarnations.ts'
import { PendingBeats, toLeaseBeat } from './pending-beats.ts'

const beat = (id: string, incarnation: number | null, at: number) => ({ service: 's', id, incarnation, at })

describe('pending beats', () => {
  it('keep the latest of each instance, and refuse a further instance when full', () => {
    const pending = new PendingBeats(2)
    expect(
      [beat('a', 1, 1), beat('b', 1, 2), beat('a', 1, 3), beat('c', 1, 4)].map(b => pending.add(b)),
    ).toEqual([true, true, true, false])
    expect(pending.take(10)).toEqual([beat('a', 1, 3), beat('b', 1, 2)])
    expect(pending.size).toBe(0)
  })

  it('let no older registration displace a newer one, nor one that names none', () => {
    const last = (...beats: ReturnType<typeof beat>[]) => {
      const pending = new PendingBeats(1)
      for (const one of beats) pending.add(one)
      return pending.take(1)[0]
    }
    expect(last(beat('a', 2, 1), beat('a', 1, 2))).toEqual(beat('a', 2, 1))
    expect(last(beat('a', 1, 1), beat('a', 2, 2))).toEqual(beat('a', 2, 2))
    expect(last(beat('a', null, 1), beat('a', 1, 2))).toEqual(beat('a', null, 1))
    expect(last(beat('a', 1, 1), beat('a', null, 2))).toEqual(beat('a', null, 2))
  })

  it('come to the same whatever the order in which they arrive', () => {
    const anyBeat = fc.tuple(fc.constantFrom('a', 'b'), fc.option(fc.integer({ min: 1, max: 3 })), fc.nat(50))
    fc.assert(
      fc.property(fc.array(anyBeat, { maxLength: 12 }), beats => {
        const result = (order: typeof beats) => {
          const pending = new PendingBeats(10)
          for (const [id, incarnation, at] of order) pending.add(beat(id, incarnation, at))
          return new Map(pending.take(10).map(kept => [kept.id, kept]))
        }
        expect(result(beats)).toEqual(result([...beats].reverse()))
      }),
    )
  })

  it('carry their age', () => {
    expect(toLeaseBeat(beat('a', 1, 300), 1_000)).toEqual({
      service: 's',
      id: 'a',
      incarnation: 1,
      ageMs: 700,
    })
  })
})

describe('known incarnations', () => {
  it('only grow, and the oldest entries go first', () => {
    const known = new KnownIncarnations(2)
    known.add('a', 5)
    known.add('a', 3)
    expect(known.get('a')).toBe(5)
    known.add('b', 1)
    known.add('c', 1)
    expect(['a', 'b', 'c'].map(key => known.get(key))).toEqual([0, 1, 1])
    expect(known.size).toBe(2)
  })
})
