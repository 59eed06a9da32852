import fc from 'fast-check'
import { expect, it } from 'vitest'
import { ManualClock } from '../../test/support/manual-clock.ts'
import { Turns } from './turns.ts'

function* steps(done: string[], name: string, count: number): Generator<undefined> {
  for (let step = 0; step < count; step += 1) {
    done.push(`${name}${step}`)
    yield
  }
}

it('does everything in order, and never more than a turn takes', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.nat(9), { maxLength: 8 }),
      fc.integer({ min: 1, max: 5 }),
      async (counts, stepsPerTurn) => {
        const clock = new ManualClock()
        const turns = new Turns({ clock, stepsPerTurn })
        const done: string[] = []
        for (const [index, count] of counts.entries()) turns.add(steps(done, `${index}-`, count))
        expect(done).toEqual([])
        expect(turns.size).toBe(counts.length)
        await clock.advance(1)
        expect(done).toEqual(
          counts.flatMap((count, index) => Array.from({ length: count }, (_, step) => `${index}-${step}`)),
        )
        expect([turns.size, clock.pending]).toEqual([0, 0])
      },
    ),
  )
})

it('forgets what has not been done', async () => {
  const clock = new ManualClock()
  const turns = new Turns({ clock, stepsPerTurn: 2 })
  const done: string[] = []
  turns.add(
    (function* () {
      yield* steps(done, 'a', 2)
      turns.clear()
      yield* steps(done, 'b', 5)
    })(),
  )
  turns.add(steps(done, 'c', 5))
  await clock.advance(1)
  expect(done).toEqual(['a0', 'a1', 'b0'])
})
