import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import type { DeltaRequest, SotwRequest } from '../subscription/xds-request.ts'
import { newSubscription, subscribe } from '../subscription/subscription.ts'
import { endpointType } from '../type-urls.ts'
import { requestParts } from './request-parts.ts'

const request = (lists: Partial<DeltaRequest>): DeltaRequest => ({
  node: undefined,
  typeUrl: endpointType,
  subscribe: [],
  unsubscribe: [],
  initialVersions: new Map(),
  nonce: 'n1',
  error: 'no',
  ...lists,
})

const later = { first: false }
const firstOne = { first: true }

const many = (count: number, from = 0): string[] =>
  Array.from({ length: count }, (_, index) => `name-${from + index}`)

test('a small request, and one of state of the world, stays whole', () => {
  const small = request({ subscribe: many(600), unsubscribe: many(400) })
  expect(requestParts(small, later)).toBeUndefined()
  const sotw: SotwRequest = { ...request({}), names: many(5_000), version: '' }
  expect(requestParts(sotw, later)).toBeUndefined()
})

test('a large request comes in parts, of which the first one answers', () => {
  const parts = requestParts(request({ subscribe: many(2_500) }), later) ?? []
  expect(parts.map(part => part.subscribe.length)).toEqual([1_000, 1_000, 500])
  expect(parts.map(({ nonce, error }) => [nonce, error])).toEqual([
    ['n1', 'no'],
    ['', undefined],
    ['', undefined],
  ])
})

test('parts lead to the same subscription, say of each name once what the request says of it, and are bounded', () => {
  const list = fc.record({ from: fc.nat(3_000), count: fc.nat(3_000), wildcard: fc.boolean() })
  const namesOf = ({
    from,
    count,
    wildcard,
  }: {
    from: number
    count: number
    wildcard: boolean
  }): string[] => [...(wildcard ? ['*'] : []), ...many(count, from)]
  fc.assert(
    fc.property(list, list, list, (held, more, less) => {
      const open = () => {
        const state = newSubscription({ legacy: false })
        subscribe(state, { subscribe: namesOf(held), unsubscribe: [] })
        return state
      }
      const whole = request({ subscribe: namesOf(more), unsubscribe: namesOf(less) })
      const [expected, found] = [open(), open()]
      const { added, again, dropped } = subscribe(expected, whole)
      const said = { added: [] as string[], again: [] as string[], dropped: [] as string[] }
      for (const part of requestParts(whole, later) ?? [whole]) {
        expect(part.subscribe.length).toBeLessThanOrEqual(1_000)
        expect(part.unsubscribe.length).toBeLessThanOrEqual(1_000)
        const actions = subscribe(found, part)
        said.added.push(...actions.added)
        said.again.push(...actions.again)
        said.dropped.push(...actions.dropped)
      }
      expect(found.wildcard).toBe(expected.wildcard)
      expect(new Set(found.names)).toEqual(new Set(expected.names))
      for (const [one, other] of [
        [said.added, added],
        [said.again, again],
        [said.dropped, dropped],
      ] as const) {
        expect(one.toSorted()).toEqual(other.toSorted())
      }
    }),
    { numRuns: 50 },
  )
})

test('the first request of a type stays whole, unless it only asks for very many', () => {
  const names = many(10_001)
  const asks = request({ subscribe: names })
  expect(requestParts(asks, firstOne)).toHaveLength(11)
  expect(requestParts(asks, firstOne)?.flatMap(({ subscribe: part }) => part)).toEqual(names)
  expect(requestParts(request({ subscribe: many(10_000) }), firstOne)).toBeUndefined()
  const holds = { subscribe: names, initialVersions: new Map([['name-1', '1']]) }
  expect(requestParts(request(holds), firstOne)).toBeUndefined()
  expect(requestParts(request({ subscribe: names, unsubscribe: ['x'] }), firstOne)).toBeUndefined()
})
