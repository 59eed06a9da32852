import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { documentChange, toLogged } from '../../test/support/changes.ts'
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

const entriesOf = (sets: readonly ChangeSet[]) =>
  toEntries(sets.flatMap(toLogged), { source, wants: () => true })

describe('entries of the log', () => {
  it('name the cursor that continues right after them', () => {
    fc.assert(
      fc.property(sizes, lengths => {
        const sets = logOf(lengths)
        const changes = sets.flatMap(toLogged)
        for (const [index, { after }] of entriesOf(sets).entries()) {
          const next = changes[index + 1]
          if (next === undefined) expect(after).toEqual({ revision: sets.length, position: 0 })
          else expect(after).toEqual({ revision: next.revision - 1, position: next.position })
        }
      }),
    )
  })

  it('have no event for what the sink does not want', () => {
    const changes = logOf([2, 1]).flatMap(toLogged)
    const entries = toEntries(changes, { source, wants: ({ revision }) => revision === 2 })
    expect(entries.map(({ encoded }) => encoded?.event.revision ?? null)).toEqual([null, null, '2'])
    expect(nextSlice(entries, { parked: new Set(), limits: { events: 1, bytes: 1 } })).toEqual(entries)
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
          const entries = entriesOf(logOf(lengths))
          const parked = new Set(parkedNames)
          const slice = nextSlice(entries, { parked, limits: { events, bytes } })
          expect(slice).toEqual(entries.slice(0, slice.length))
          expect(slice.length).toBeGreaterThan(0)
          const deliverable = slice.filter(({ aggregate }) => !parked.has(aggregate))
          expect(deliverable.length).toBeLessThanOrEqual(events)
          const size = deliverable.reduce((sum, { encoded }) => sum + (encoded?.bytes ?? 0), 0)
          expect(deliverable.length <= 1 || size <= bytes).toBe(true)
        },
      ),
    )
  })

  it('is done up to the first event that was not delivered', () => {
    fc.assert(
      fc.property(sizes, parkedSet, fc.nat({ max: 12 }), (lengths, parkedNames, delivered) => {
        const slice = entriesOf(logOf(lengths))
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
