import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { SharedChunks, SharedMap } from './shared-map.ts'

const name = (index: number): string => `n${index}`

interface Step {
  readonly do: 'set' | 'delete' | 'fill' | 'share' | 'clear'
  readonly map: number
  readonly name: number
  readonly value: number
}

const maps = 3
const at = fc.record({ map: fc.nat(maps - 1), name: fc.nat(199), value: fc.nat(2) })
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: at.map(values => ({ do: 'set' as const, ...values })) },
  { weight: 4, arbitrary: at.map(values => ({ do: 'delete' as const, ...values })) },
  { weight: 2, arbitrary: at.map(values => ({ do: 'fill' as const, ...values })) },
  { weight: 4, arbitrary: at.map(values => ({ do: 'share' as const, ...values })) },
  { weight: 1, arbitrary: at.map(values => ({ do: 'clear' as const, ...values })) },
)

test('maps that share chunks behave like plain maps that share nothing', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), steps => {
      const chunks = new SharedChunks<number | null>()
      const shared = Array.from({ length: maps }, () => new SharedMap(chunks))
      const plain = Array.from({ length: maps }, () => new Map<string, number | null>())
      for (const action of steps) {
        const [one, two] = [shared[action.map], plain[action.map]]
        if (one === undefined || two === undefined) throw new Error('there are three of each')
        if (action.do === 'share') one.share()
        else if (action.do === 'clear') {
          one.clear()
          two.clear()
        } else if (action.do === 'delete') {
          expect(one.delete(name(action.name))).toBe(two.delete(name(action.name)))
        } else {
          const last = action.do === 'fill' ? action.name + 150 : action.name
          for (let index = action.name; index <= last; index += 1) {
            const value = action.value === 0 ? null : action.value
            one.set(name(index), value)
            two.set(name(index), value)
          }
        }
        for (const [index, each] of shared.entries()) {
          const model = plain[index]
          expect(each.size).toBe(model?.size)
          expect(each.nulls).toBe([...each.values()].filter(value => value === null).length)
          expect(new Map(each)).toEqual(model)
          expect(new Set(each.keys())).toEqual(new Set(model?.keys()))
          for (let asked = 0; asked < 350; asked += 7)
            expect([each.has(name(asked)), each.get(name(asked))]).toEqual([
              model?.has(name(asked)),
              model?.get(name(asked)),
            ])
        }
      }
      for (const each of shared) each.clear()
      expect(chunks.names.size).toBe(0)
    }),
    { numRuns: 200 },
  )
})

/** Counts the chunks that are made to be kept. */
class CountingChunks extends SharedChunks<object> {
  kept = new Set<unknown>()

  override share(...[place, chunk]: Parameters<SharedChunks<object>['share']>) {
    const shared = super.share(place, chunk)
    this.kept.add(shared)
    return shared
  }
}

const filled = (chunks: SharedChunks<object>, values: readonly object[]): SharedMap<object> => {
  const map = new SharedMap(chunks)
  for (const [index, value] of values.entries()) map.set(name(index), value)
  map.share()
  return map
}

test('maps with the same content are made of the same chunks, also when they have followed changes in another order', () => {
  const chunks = new CountingChunks()
  const values = Array.from({ length: 320 }, (_, index) => ({ index }))
  const all = Array.from({ length: 50 }, () => filled(chunks, values))
  expect(chunks.kept.size).toBe(10)
  const [one, two] = [{ index: -1 }, { index: -2 }]
  for (const [index, map] of all.entries()) {
    const changes: [string, object][] = [
      [name(3), one],
      [name(7), two],
    ]
    for (const [changed, value] of index % 2 === 0 ? changes : changes.reverse()) {
      map.set(changed, value)
      map.share()
    }
  }
  // Two ways of being half-way, one result.
  expect(chunks.kept.size).toBe(10 + 3)
})

test('a map that differs does not change the others', () => {
  const chunks = new SharedChunks<object>()
  const values = Array.from({ length: 100 }, (_, index) => ({ index }))
  const [one, two] = [filled(chunks, values), filled(chunks, values)]
  const other = {}
  one.set(name(5), other)
  one.delete(name(6))
  expect([two.get(name(5)), two.get(name(6))]).toEqual([values[5], values[6]])
  one.share()
  expect([one.get(name(5)), one.get(name(6)), one.size]).toEqual([other, undefined, 99])
  expect([two.get(name(5)), two.get(name(6)), two.size]).toEqual([values[5], values[6], 100])
})
