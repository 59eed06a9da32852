import { expect, it } from 'vitest'
import { BoundedMap } from './bounded-map.ts'

it('forgets the oldest entry, and only when a new one needs its place', () => {
  const map = new BoundedMap<number>(2)
  expect(map.set('a', 1)).toBe(1)
  map.set('b', 2)
  map.set('b', 3)
  expect([map.get('a'), map.get('b')]).toEqual([1, 3])
  map.set('c', 4)
  expect([map.get('a'), map.get('b'), map.get('c')]).toEqual([undefined, 3, 4])
})
