import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { ChangedNodes } from './changed-nodes.ts'
import { StreamShape, unsettled } from './stream-shape.ts'

interface Type {
  readonly busy: boolean
  readonly refused: boolean
  readonly edits: number
}

const type: fc.Arbitrary<Type> = fc.record({
  busy: fc.boolean(),
  refused: fc.boolean(),
  edits: fc.nat(1),
})
const deliveryOf = ({ busy, refused, edits }: Type) => ({
  busy,
  refusals: refused ? ['refusal'] : [],
  edits,
})

test('whose status is another one than when it was taken is always among the changed', () => {
  const event = fc.oneof(
    fc.record({ take: fc.constant(false), types: fc.array(type, { minLength: 2, maxLength: 2 }) }),
    fc.record({ take: fc.constant(true), types: fc.constant<Type[]>([]) }),
  )
  fc.assert(
    fc.property(fc.array(event, { maxLength: 30 }), events => {
      const nodes = new ChangedNodes(() => undefined)
      const shape = new StreamShape()
      let types: readonly Type[] = []
      let taken: readonly Type[] | undefined
      let last = unsettled
      for (const { take, types: next } of events) {
        if (!take) {
          types = next.map((each, index) => ({ ...each, edits: each.edits + (types[index]?.edits ?? 0) }))
          const now = shape.read(types.map(deliveryOf))
          nodes.reshaped('a', last, now)
          last = now
          continue
        }
        const same = taken !== undefined && JSON.stringify(types) === JSON.stringify(taken)
        const among = nodes.take().has('a')
        if (!same && taken !== undefined) expect(among).toBe(true)
        taken = types
      }
    }),
  )
})

test('who has answered everything again by then is not taken, unless it was seen before it had', () => {
  let calls = 0
  const nodes = new ChangedNodes(() => (calls += 1))
  nodes.add('a')
  expect([[...nodes.take()], calls]).toEqual([['a'], 1])
  nodes.reshaped('a', 1, unsettled)
  nodes.reshaped('a', unsettled, 1)
  expect([[...nodes.take()], calls]).toEqual([[], 2])
  nodes.reshaped('a', 1, unsettled)
  nodes.reshaped('a', unsettled, 2)
  expect([...nodes.take()]).toEqual(['a'])
  nodes.reshaped('a', 2, unsettled)
  expect([...nodes.take()]).toEqual(['a'])
  nodes.reshaped('a', unsettled, 2)
  expect([...nodes.take()]).toEqual(['a'])
  // Seen between two calls of `take`.
  nodes.reshaped('a', 2, unsettled)
  nodes.await('a')
  nodes.reshaped('a', unsettled, 2)
  expect([...nodes.take()]).toEqual(['a'])
  nodes.await('a')
  nodes.reshaped('a', 2, 2)
  expect([...nodes.take()]).toEqual(['a'])
  nodes.reshaped('a', 2, 2)
  expect([...nodes.take()]).toEqual([])
})
