import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ManualClock } from '../../../test/support/manual-clock.ts'
import { ByteBudget, type BudgetHolder } from './byte-budget.ts'

const patienceMs = 1_000

interface Told extends BudgetHolder {
  resumed: number
  evicted: number
}

const holder = (): Told => {
  const told: Told = {
    resumed: 0,
    evicted: 0,
    resume: () => {
      told.resumed += 1
    },
    evict: () => {
      told.evicted += 1
    },
  }
  return told
}

const setUp = (maxBytes = 100) => {
  const clock = new ManualClock()
  return { clock, budget: new ByteBudget({ clock, maxBytes, patienceMs }) }
}

describe('a budget of bytes', () => {
  test('lets those wait who ask when it is used up, and resumes them in order', () => {
    const { budget } = setUp()
    const [first, second, third] = [holder(), holder(), holder()]
    expect(budget.ask(first)).toBe(true)
    budget.take(first, 100)
    expect(budget.ask(second)).toBe(false)
    expect(budget.ask(third)).toBe(false)
    expect(budget.waiting).toBe(2)
    budget.give(first, 1)
    expect([second.resumed, third.resumed]).toEqual([1, 1])
    expect(budget).toMatchObject({ used: 99, waiting: 0 })
  })

  test('resumes no more than there is room for', () => {
    const { budget } = setUp()
    const [first, second] = [holder(), holder()]
    budget.take(first, 100)
    budget.ask(second)
    const greedy = holder()
    const wanting: BudgetHolder = {
      resume: () => {
        budget.take(wanting, 50)
      },
      evict: () => undefined,
    }
    budget.leave(second)
    budget.ask(wanting)
    budget.ask(greedy)
    budget.give(first, 10)
    expect(budget.used).toBe(140)
    expect(greedy.resumed).toBe(0)
    budget.leave(wanting)
    expect(greedy.resumed).toBe(1)
  })

  test('evicts who has stood still for the longest while others wait, and nobody otherwise', async () => {
    const { clock, budget } = setUp()
    const [still, moving, waiting] = [holder(), holder(), holder()]
    budget.take(still, 60)
    budget.take(moving, 60)
    await clock.advance(10 * patienceMs)
    expect([still.evicted, moving.evicted]).toEqual([0, 0])
    budget.give(moving, 5)
    budget.ask(waiting)
    await clock.advance(1)
    expect([still.evicted, moving.evicted, waiting.resumed]).toEqual([1, 0, 1])
    expect(budget.used).toBe(55)
  })

  test('gives those who hold it the time of patience, again and again', async () => {
    const { clock, budget } = setUp()
    const [first, second, waiting] = [holder(), holder(), holder()]
    budget.take(first, 100)
    await clock.advance(patienceMs / 2)
    budget.take(second, 100)
    budget.ask(waiting)
    await clock.advance(patienceMs / 2 - 1)
    expect(first.evicted).toBe(0)
    await clock.advance(1)
    expect([first.evicted, second.evicted]).toEqual([1, 0])
    await clock.advance(patienceMs / 2)
    expect([second.evicted, waiting.resumed]).toEqual([1, 1])
  })

  test('counts exactly what is held, whatever is taken, given and left', () => {
    const step = fc.record({
      who: fc.nat(3),
      do: fc.constantFrom('take' as const, 'give' as const, 'leave' as const, 'ask' as const),
      bytes: fc.nat(80),
    })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), steps => {
        const { budget } = setUp()
        const holders = [holder(), holder(), holder(), holder()]
        const held = [0, 0, 0, 0]
        for (const { who, do: what, bytes } of steps) {
          const one = holders[who] ?? holder()
          const had = held[who] ?? 0
          if (what === 'take') held[who] = had + bytes
          if (what === 'give') held[who] = Math.max(0, had - bytes)
          if (what === 'leave') held[who] = 0
          if (what === 'take') budget.take(one, bytes)
          else if (what === 'give') budget.give(one, bytes)
          else budget[what](one)
          const sum = held.reduce((left, right) => left + right, 0)
          expect(budget.used).toBe(sum)
          if (sum < 100) expect(budget.waiting).toBe(0)
        }
      }),
    )
  })
})
