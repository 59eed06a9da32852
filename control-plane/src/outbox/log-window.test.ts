import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { documentChange } from '../../test/support/changes.ts'
import type { ChangeSet } from '../domain/change.ts'
import { doneOf, nextSlice, toEntries } from './log-window.ts'

/** Sizes of consecutive revisions -> the log. */
const logOf = (sizes: readonly number[]): ChangeSet[] =>
  sizes.map((size, index) => ({
    revision: index + 1,
    changes: Array.from({ length: size }, (_, position) =>
      documentChange({ revision: index + 1, position, name: `n${(index + position) % 3}` }),
    ),
  }))
const sizes = fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 8 })
const source = '/waymark'

describe('entries of the log', () => {
  it('continue exactly where a cursor stands, whichever entry it came from', () => {
    fc.assert(
      fc.property(sizes, fc.nat(), (lengths, pick) => {
        const sets = logOf(lengths)
        const all = toEntries(sets, { cursor: { revision: 0, position: 0 }, source })
        const at = pick % all.length
        const cursor = all[at]?.after
        if (cursor === undefined) throw new Error('no entry')
        const rest = toEntries(
          sets.filter(({ revision }) => revision > cursor.revision),
          { cursor, source },
        )
        expect(rest).toEqual(all.slice(at + 1))
      }),
    )
  })
})

describe('a slice', () => {
  const parkedSet = fc.subarray(['document/Service/n0', 'document/Service/n1', 'document/Service/n2'])

  it('begins the entries, keeps the limits, and is never empty', () => {
    fc.assert(
      fc.property(
        sizes,
        parkedSet,
        fc.integer({ min: 1, max: 5 }),
        fc.integer({ min: 1, max: 2_000 }),
        (lengths, parkedNames, events, bytes) => {
          const entries = toEntries(logOf(lengths), { cursor: { revision: 0, position: 0 }, source })
          const parked = new Set(parkedNames)
          const slice = nextSlice(entries, { parked, limits: { events, bytes } })
          expect(slice).toEqual(entries.slice(0, slice.length))
          expect(slice.length).toBeGreaterThan(0)
          const deliverable = slice.filter(({ aggregate }) => !parked.has(aggregate))
          expect(deliverable.length).toBeLessThanOrEqual(events)
          const size = deliverable.reduce((sum, { encoded }) => sum + encoded.bytes, 0)
          expect(deliverable.length <= 1 || size <= bytes).toBe(true)
        },
      ),
    )
  })

  it('is done up to the first event that was not delivered', () => {
    fc.assert(
      fc.property(sizes, parkedSet, fc.nat({ max: 12 }), (lengths, parkedNames, delivered) => {
        const slice = toEntries(logOf(lengths), { cursor: { revision: 0, position: 0 }, source })
        const parked = new Set(parkedNames)
        const done = doneOf(slice, { parked, delivered })
        const deliverable = slice.filter(({ aggregate }) => !parked.has(aggregate))
        expect(done.filter(({ aggregate }) => !parked.has(aggregate))).toEqual(
          deliverable.slice(0, delivered),
        )
        expect(slice[done.length]).toBe(deliverable[delivered])
      }),
    )
  })
})
