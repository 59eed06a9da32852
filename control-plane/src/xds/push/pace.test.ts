import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { Pace, type PaceAccount } from './pace.ts'

/** A pace whose time passes only while requests run, or when a test says so. */
class Fixture {
  now = 0
  turns: (() => void)[] = []
  readonly figures = { paced: 0 }
  readonly pace = new Pace({
    clock: {
      monotonic: () => this.now,
      soon: run => {
        this.turns.push(run)
      },
    },
    figures: this.figures,
  })

  turn(): void {
    for (const run of this.turns.splice(0)) run()
  }

  /** A request that takes so long; returns what it has to wait. */
  spend(account: PaceAccount, ms: number): number {
    let wait: number | undefined
    const work = (): void => {
      this.now += ms
    }
    this.pace.run(account, work, waitMs => {
      wait = waitMs
    })
    while (wait === undefined) this.turn()
    this.turn()
    return wait
  }
}

test('who uses little never waits, who has used up its own does, and is counted', () => {
  const fixture = new Fixture()
  const modest = fixture.pace.open()
  for (; fixture.now < 100_000; fixture.now += 100) expect(fixture.spend(modest, 4)).toBe(0)
  const greedy = fixture.pace.open()
  expect(fixture.spend(greedy, 1_000)).toBe(0)
  expect(fixture.spend(greedy, 105)).toBeCloseTo(400 - 1)
  expect(fixture.figures.paced).toBe(1)
  expect(fixture.spend(modest, 4)).toBe(0)
})

test('those who use more than their own wait for each other', () => {
  const fixture = new Fixture()
  const accounts = [fixture.pace.open(), fixture.pace.open(), fixture.pace.open()]
  const waits = accounts.map(account => fixture.spend(account, 2_000) + fixture.now)
  expect(waits.toSorted((a, b) => a - b)).toEqual(waits)
  expect(waits.at(-1)).toBeGreaterThan(3 * 4 * 700)
})

test('a turn takes little, and what comes next runs in later ones, in order', () => {
  const fixture = new Fixture()
  const ran: number[] = []
  for (let number = 0; number < 10; number += 1) {
    const work = (): void => {
      fixture.now += 4
      ran.push(number)
    }
    fixture.pace.run(fixture.pace.open(), work, () => undefined)
  }
  expect(ran).toEqual([0, 1, 2])
  fixture.turn()
  expect(ran).toEqual([0, 1, 2, 3, 4, 5])
  while (fixture.turns.length > 0) fixture.turn()
  expect(ran).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
})

test('however many ask for as much as they can, beyond their own they get a quarter of the time', () => {
  const costs = fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 20 })
  fc.assert(
    fc.property(costs, spent => {
      const fixture = new Fixture()
      const clients = spent.map(cost => ({ cost, account: fixture.pace.open(), next: 0 }))
      let used = 0
      while (fixture.now < 60_000) {
        const due = clients.find(({ next }) => next <= fixture.now)
        if (due === undefined) {
          fixture.now = Math.min(...clients.map(({ next }) => next))
          continue
        }
        used += due.cost
        due.next = fixture.spend(due.account, due.cost) + fixture.now
      }
      const own = clients.length * (1_000 + fixture.now * 0.05)
      const longest = Math.max(...spent)
      expect(used).toBeLessThanOrEqual(own + fixture.now * 0.25 + longest * (clients.length + 1))
    }),
  )
})
