import fc from 'fast-check'
import { expect, it } from 'vitest'
import { WaymarkError } from '../../domain/errors.ts'
import { AnswerCache } from './answer-cache.ts'

type Step =
  | { readonly do: 'change'; readonly value: number }
  | { readonly do: 'elsewhere' }
  | { readonly do: 'ask'; readonly question: string }

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ do: fc.constant('change' as const), value: fc.integer({ min: 0, max: 2 }) }),
  fc.record({ do: fc.constant('elsewhere' as const) }),
  fc.record({ do: fc.constant('ask' as const), question: fc.constantFrom('a', 'b', 'c') }),
)

it('gives the present answer, and a revision since which it is that, with as little work as it may', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), fc.integer({ min: 1, max: 2_000 }), (steps, maxBytes) => {
      let revision = 1
      let touches = { last: 1, previous: 1 }
      /** The value at each revision; 0 stands for "there is none". */
      const history = [0, 1]
      let rendered = 0
      const cache = new AnswerCache({ maxBytes, revision: () => revision, touches: () => touches })
      for (const one of steps) {
        if (one.do !== 'ask') {
          revision += 1
          if (one.do === 'change') touches = { last: revision, previous: touches.last }
          history[revision] = one.do === 'change' ? one.value : (history[revision - 1] ?? 0)
          continue
        }
        const value = history[revision] ?? 0
        const before = rendered
        const ask = () =>
          cache.get(one.question, 'services', () => {
            rendered += 1
            if (value === 0) throw new WaymarkError('service_not_found', `at ${revision}`)
            return { body: Buffer.from(`{"value":${value}}`), next: null }
          })
        const answer = ask()
        expect(ask()).toBe(answer)
        expect(rendered - before).toBeLessThanOrEqual(1)
        const found: unknown =
          answer.rendered instanceof WaymarkError ? 0 : JSON.parse(answer.rendered.body.toString())
        expect(found).toEqual(value === 0 ? 0 : { value })
        // It may claim less than it could, never more.
        expect(answer.since).toBeLessThanOrEqual(revision)
        expect(new Set(history.slice(answer.since))).toEqual(new Set([value]))
      }
    }),
  )
})

it('knows that a change has left an answer as it was', () => {
  let revision = 5
  const cache = new AnswerCache({
    maxBytes: 10_000,
    revision: () => revision,
    touches: () => ({ last: revision, previous: revision - 1 }),
  })
  const ask = (text: string) =>
    cache.get('question', 'services', () => ({ body: Buffer.from(text), next: null })).since
  expect(ask('{"a":1}')).toBe(5)
  revision = 6
  expect(ask('{"a":1}')).toBe(5)
  revision = 7
  expect(ask('{"a":2}')).toBe(7)
})
