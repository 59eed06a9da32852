import fc from 'fast-check'
import { expect, it } from 'vitest'
import { WaymarkError } from '../../domain/errors.ts'
import { AnswerCache, type Rendered } from './answer-cache.ts'

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

it('holds no more than it may, also of refusals and of long questions', () => {
  const cache = new AnswerCache({
    maxBytes: 100_000,
    revision: () => 1,
    touches: () => ({ last: 1, previous: 1 }),
  })
  let rendered = 0
  const ask = (question: string, answer: () => Rendered): void => {
    cache.get(question, 'mesh', () => {
      rendered += 1
      return answer()
    })
  }
  const refuse = (): never => {
    throw new WaymarkError('service_not_found', 'there is no such service')
  }
  const empty = (): Rendered => ({ body: Buffer.from('{}'), next: null })
  for (const [answer, length] of [
    [refuse, 1],
    [empty, 10_000],
  ] as const) {
    const questions = Array.from({ length: 100 }, (_, index) => `${length} ${'q'.repeat(length)} ${index}`)
    for (const question of questions) ask(question, answer)
    rendered = 0
    for (const question of questions.toReversed()) ask(question, answer)
    expect(rendered).toBeGreaterThan(40)
  }
})
