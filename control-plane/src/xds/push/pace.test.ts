import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { Pace } from './pace.ts'

const at = (now: { ms: number }, figures = { paced: 0 }) =>
  new Pace({ clock: { monotonic: () => now.ms }, figures })

test('who uses little never waits, who has used up its own does, and is counted', () => {
  const now = { ms: 0 }
  const figures = { paced: 0 }
  const pace = at(now, figures)
  const modest = pace.open()
  for (; now.ms < 100_000; now.ms += 100) expect(pace.charge(modest, 4)).toBe(0)
  const greedy = pace.open()
  expect(pace.charge(greedy, 1_000)).toBe(0)
  expect(pace.charge(greedy, 100)).toBe(400)
  expect(figures.paced).toBe(1)
  expect(pace.charge(modest, 4)).toBe(0)
})

test('those who use more than their own wait for each other', () => {
  const now = { ms: 0 }
  const pace = at(now)
  const accounts = [pace.open(), pace.open(), pace.open()]
  expect(accounts.map(account => pace.charge(account, 1_100))).toEqual([400, 800, 1_200])
  now.ms = 2_000
  // 100 ms of its own have come back.
  expect(pace.charge(accounts[0] ?? pace.open(), 200)).toBe(400)
})

test('however many ask for as much as they can, beyond their own they get a quarter of the time', () => {
  const costs = fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 20 })
  fc.assert(
    fc.property(costs, spent => {
      const now = { ms: 0 }
      const pace = at(now)
      const clients = spent.map(cost => ({ cost, account: pace.open(), next: 0 }))
      let used = 0
      const end = 60_000
      while (now.ms < end) {
        const due = clients.find(({ next }) => next <= now.ms)
        if (due === undefined) {
          now.ms = Math.min(...clients.map(({ next }) => next))
          continue
        }
        now.ms += due.cost
        used += due.cost
        due.next = now.ms + pace.charge(due.account, due.cost)
      }
      const own = clients.length * (1_000 + now.ms * 0.05)
      const longest = Math.max(...spent)
      expect(used).toBeLessThanOrEqual(own + now.ms * 0.25 + longest * (clients.length + 1))
    }),
  )
})
