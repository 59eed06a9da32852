import fc from 'fast-check'
import { expect, test } from 'vitest'
import { RevisionJournal, RevisionRecord } from './revision-journal.ts'
import { StreamMark } from './stream-mark.ts'

const mark = (node: string) => new StreamMark({ node, deliveries: () => [] })

test('a revision is found with the streams and names that it touched, each once', () => {
  const journal = new RevisionJournal({ head: 4 })
  const [one, two] = [mark('web/1'), mark('web/2')]
  for (const stream of [one, two, one]) journal.touch(stream, 'cds', 'orders')
  journal.touch(one, 'eds', 'orders')
  expect(journal.find(5)).toBe('ahead')
  journal.close(5)
  journal.close(6)
  const found = journal.find(5)
  if (!(found instanceof RevisionRecord)) throw new Error(`found ${found}`)
  expect(found.marks).toEqual([one, two])
  expect([[...(found.names('cds') ?? [])], found.names('lds')]).toEqual([['orders'], undefined])
  expect([journal.find(4), journal.find(6), journal.find(7)]).toEqual(['nobody', 'nobody', 'ahead'])
})

test('revisions that were applied together are found together', () => {
  const journal = new RevisionJournal({ head: 0 })
  journal.touch(mark('web/1'), 'eds', 'orders')
  journal.close(3)
  const found = journal.find(1)
  expect(found).toBe(journal.find(3))
  expect(found).toMatchObject({ from: 1, to: 3 })
})

test('what was touched without a new revision belongs to nobody', () => {
  const journal = new RevisionJournal({ head: 3 })
  journal.touch(mark('web/1'), 'sds', 'leaf')
  journal.close(3)
  journal.touch(mark('web/2'), 'eds', 'orders')
  journal.close(4)
  expect(journal.find(3)).toBe('nobody')
  expect(journal.find(4)).toMatchObject({ marks: [{ node: 'web/2' }] })
})

test('whatever is applied, each revision is in its own record, and the ring stays within its bounds', () => {
  const step = fc.record({
    revisions: fc.integer({ min: 1, max: 3 }),
    touched: fc.integer({ min: 0, max: 6 }),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), steps => {
      const journal = new RevisionJournal({ head: 0, limits: { maxRecords: 8, maxWeight: 30 } })
      const marks = Array.from({ length: 6 }, (_, index) => mark(`web/${index}`))
      const expected: (number | 'nobody')[] = []
      let head = 0
      for (const { revisions, touched } of steps) {
        for (const stream of marks.slice(0, touched)) journal.touch(stream, 'eds', `name-${touched}`)
        head += revisions
        journal.close(head)
        for (let n = 0; n < revisions; n += 1) expected.push(touched === 0 ? 'nobody' : touched)
      }
      const found = expected.map((_, index) => journal.find(index + 1))
      const kept = new Set(found.filter(one => one instanceof RevisionRecord))
      const weight = [...kept].reduce((sum, one) => sum + one.weight, 0)
      expect(kept.size).toBeLessThanOrEqual(8)
      expect(weight <= 30 || kept.size === 1).toBe(true)
      // Only the oldest are forgotten.
      const first = found.findIndex(one => one !== 'forgotten')
      expect(found.slice(first).includes('forgotten') && found.length > 0).toBe(false)
      for (const [index, one] of found.entries()) {
        if (one === 'forgotten') continue
        expect(one instanceof RevisionRecord ? one.marks.length : one).toBe(expected[index])
      }
      expect(journal.find(head + 1)).toBe('ahead')
    }),
  )
})
