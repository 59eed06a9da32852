import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { newSubscription, subscribe, type Subscription } from './subscription.ts'

const take = (state: Subscription, names: string[], unsubscribe: string[] = []) =>
  subscribe(state, { subscribe: names, unsubscribe })
const legacy = () => newSubscription({ legacy: true })

test('X1 an empty first request is a wildcard for a type with the legacy rule only', () => {
  const clusters = legacy()
  expect(take(clusters, []).wildcard).toBe('start')
  expect(clusters.wildcard).toBe(true)
  const endpoints = newSubscription({ legacy: false })
  expect(take(endpoints, []).wildcard).toBeUndefined()
  expect(endpoints.wildcard).toBe(false)
})

test('X1 a first request with names turns the legacy rule off', () => {
  const state = legacy()
  expect(take(state, ['a'])).toMatchObject({ wildcard: undefined, added: ['a'] })
  expect(take(state, []).wildcard).toBeUndefined()
  expect(state.wildcard).toBe(false)
})

test('X2 a legacy wildcard and a name: the wildcard can go, then the name, and it never comes back', () => {
  const state = legacy()
  take(state, [])
  expect(take(state, ['A'])).toMatchObject({ wildcard: undefined, added: ['A'] })
  expect([state.wildcard, [...state.names]]).toEqual([true, ['A']])
  expect(take(state, [], ['*']).wildcard).toBe('stop')
  expect([state.wildcard, [...state.names]]).toEqual([false, ['A']])
  expect(take(state, [], ['A']).dropped).toEqual(['A'])
  expect([state.wildcard, [...state.names]]).toEqual([false, []])
  expect(take(state, []).wildcard).toBeUndefined()
  expect(state.wildcard).toBe(false)
})

test('X3 an explicit * is the same as the legacy wildcard, for every type', () => {
  for (const withLegacy of [true, false]) {
    const state = newSubscription({ legacy: withLegacy })
    expect(take(state, ['*', 'A'])).toMatchObject({ wildcard: 'start', added: ['A'] })
    expect([state.wildcard, [...state.names]]).toEqual([true, ['A']])
    expect(take(state, [], ['*']).wildcard).toBe('stop')
    expect(take(state, ['*']).wildcard).toBe('start')
  }
})

test('X4 unsubscribing tells what was dropped, and what was never subscribed is harmless', () => {
  const state = legacy()
  take(state, ['*', 'A', 'B'])
  expect(take(state, [], ['A', 'never', 'A'])).toEqual({
    wildcard: undefined,
    added: [],
    again: [],
    dropped: ['A'],
  })
  expect(take(state, [], ['*', 'never']).dropped).toEqual([])
})

test('X5 a name or a wildcard held already is asked for again', () => {
  const state = legacy()
  take(state, ['A', 'A'])
  expect(take(state, ['A', 'B', 'B'])).toMatchObject({ added: ['B'], again: ['A'] })
  expect(take(state, ['*']).wildcard).toBe('start')
  expect(take(state, ['*']).wildcard).toBe('again')
  expect(take(state, ['A'], ['A'])).toMatchObject({ again: ['A'], dropped: [] })
  expect(state.names.has('A')).toBe(true)
})

const name = fc.constantFrom('a', 'b', 'c', '*')
const messages = fc.array(
  fc.record({ subscribe: fc.array(name, { maxLength: 4 }), unsubscribe: fc.array(name, { maxLength: 4 }) }),
)

test('X1 X2 X3 the state is what replaying the lists one name at a time gives', () => {
  fc.assert(
    fc.property(fc.boolean(), messages, (withLegacy, list) => {
      const state = newSubscription({ legacy: withLegacy })
      const expected = new Set<string>()
      list.forEach((message, index) => {
        const before = new Set(expected)
        const actions = subscribe(state, message)
        for (const each of message.unsubscribe) expected.delete(each)
        for (const each of message.subscribe) expected.add(each)
        if (index === 0 && withLegacy && message.subscribe.length === 0) expected.add('*')
        expect(new Set([...state.names, ...(state.wildcard ? ['*'] : [])])).toEqual(expected)
        for (const each of actions.added) expect(before.has(each)).toBe(false)
        for (const each of actions.again) expect(before.has(each)).toBe(true)
        for (const each of actions.dropped) expect(before.has(each) && !expected.has(each)).toBe(true)
        const asked = message.subscribe.filter(each => each !== '*')
        expect(new Set([...actions.added, ...actions.again])).toEqual(new Set(asked))
      })
    }),
  )
})
