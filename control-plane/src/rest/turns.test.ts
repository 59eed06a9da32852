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

const expected = (counts: readonly number[], name: string): string[] =>
  counts.flatMap((count, index) => Array.from({ length: count }, (_, step) => `${name}${index}-${step}`))

it('does everything of a lane in order, and never more than a turn takes', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(fc.nat(9), { maxLength: 5 }), { maxLength: 3 }),
      fc.integer({ min: 1, max: 5 }),
      async (lanes, stepsPerTurn) => {
        const clock = new ManualClock()
        const turns = new Turns({ clock, stepsPerTurn })
        const done: string[] = []
        const perTurn: number[] = []
        const soon = clock.soon.bind(clock)
        clock.soon = run => {
          soon(() => {
            const before = done.length
            run()
            perTurn.push(done.length - before)
          })
        }
        for (const [number, counts] of lanes.entries()) {
          const lane = turns.lane()
          for (const [index, count] of counts.entries()) lane.add(steps(done, `${number}:${index}-`, count))
          expect(lane.size).toBe(counts.length)
        }
        expect(done).toEqual([])
        await clock.advance(1)
        for (const [number, counts] of lanes.entries())
          expect(done.filter(step => step.startsWith(`${number}:`))).toEqual(expected(counts, `${number}:`))
        expect(Math.max(0, ...perTurn)).toBeLessThanOrEqual(stepsPerTurn)
        expect(clock.pending).toBe(0)
      },
    ),
  )
})

it('lets lanes take steps by turns', async () => {
  const clock = new ManualClock()
  const turns = new Turns({ clock })
  const done: string[] = []
  const [one, two] = [turns.lane(), turns.lane()]
  one.add(steps(done, 'a', 3))
  two.add(steps(done, 'b', 1))
  two.add(steps(done, 'c', 1))
  await clock.advance(1)
  expect(done).toEqual(['a0', 'b0', 'a1', 'c0', 'a2'])
})

it('ends a turn when its time is over', async () => {
  const clock = new ManualClock()
  let elapsed = 0
  clock.monotonic = () => elapsed
  const turns = new Turns({ clock })
  let done = 0
  const doneAfterTurn: number[] = []
  turns.lane().add(
    (function* () {
      for (let step = 0; step < 40; step += 1) {
        done += 1
        elapsed += 1
        yield
      }
    })(),
  )
  const soon = clock.soon.bind(clock)
  clock.soon = run => {
    soon(() => {
      run()
      doneAfterTurn.push(done)
    })
  }
  await clock.advance(1)
  expect(done).toBe(40)
  expect(doneAfterTurn.length).toBeGreaterThan(2)
})

it('forgets what has not been done', async () => {
  const clock = new ManualClock()
  const lane = new Turns({ clock, stepsPerTurn: 2 }).lane()
  const done: string[] = []
  lane.add(
    (function* () {
      yield* steps(done, 'a', 2)
      lane.clear()
      yield* steps(done, 'b', 5)
    })(),
  )
  lane.add(steps(done, 'c', 5))
  await clock.advance(1)
  expect(done).toEqual(['a0', 'a1', 'b0'])
})
