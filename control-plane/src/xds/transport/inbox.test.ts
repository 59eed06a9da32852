import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { ManualClock } from '../../../test/support/manual-clock.ts'
import { grpcMessage } from '../testing/fuzz-frames.ts'
import { ByteBudget } from './byte-budget.ts'
import { Inbox, ownBytes } from './inbox.ts'

const setUp = (maxBytes: number) => {
  const clock = new ManualClock()
  const budget = new ByteBudget({ clock, maxBytes, patienceMs: 1_000 })
  const open = () => {
    const seen = { paused: false, evicted: false, partial: false }
    const inbox = new Inbox({
      owner: {
        pause: () => {
          seen.paused = true
        },
        resume: () => {
          seen.paused = false
        },
        evicted: () => {
          seen.evicted = true
          inbox.close()
        },
        partial: begun => {
          seen.partial = begun
        },
      },
      budget,
      maxMessageBytes: 1_000_000,
    })
    return { inbox, seen }
  }
  return { clock, budget, open }
}

const large = grpcMessage(Buffer.alloc(ownBytes + 1_000))
const half = large.subarray(0, large.length - 1)

test('knows whether a message is whole, however its bytes are cut', () => {
  fc.assert(
    fc.property(
      fc.array(fc.nat(200), { maxLength: 5 }),
      fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1 }),
      (lengths, cuts) => {
        const { open, budget } = setUp(1_000)
        const { inbox, seen } = open()
        const bytes = Buffer.concat(lengths.map(length => grpcMessage(Buffer.alloc(length, 0xff))))
        const ends = new Set([0])
        let end = 0
        for (const length of lengths) ends.add((end += length + 5))
        for (let at = 0, turn = 0; at < bytes.length; turn += 1) {
          const part = bytes.subarray(at, at + (cuts[turn % cuts.length] ?? 1))
          inbox.receive(part)
          at += part.length
          expect(seen.partial).toBe(!ends.has(at))
        }
        expect(budget.used).toBe(0)
      },
    ),
  )
})

test('a message counts from the moment it is larger than what is its own until it has been handled', () => {
  const { open, budget } = setUp(10_000)
  const { inbox } = open()
  inbox.receive(large.subarray(0, ownBytes))
  expect(budget.used).toBe(0)
  inbox.receive(half.subarray(ownBytes))
  expect(budget.used).toBe(1_000)
  inbox.handled()
  expect(budget.used).toBe(1_000)
  inbox.receive(large.subarray(half.length))
  expect(budget.used).toBe(1_000)
  inbox.handled()
  expect(budget.used).toBe(0)
})

test('while the budget is used up a large message is not read, and goes on when there is room', () => {
  const { open, budget } = setUp(1_000)
  const [first, second] = [open(), open()]
  first.inbox.receive(half)
  second.inbox.receive(half)
  expect(second.seen.paused).toBe(true)
  expect(budget.used).toBe(1_000)
  first.inbox.receive(large.subarray(half.length))
  first.inbox.handled()
  expect(second.seen.paused).toBe(false)
  expect(budget.used).toBe(1_000)
})

test('half a message that stands still while others wait is evicted', async () => {
  const { open, budget, clock } = setUp(1_000)
  const [first, second] = [open(), open()]
  first.inbox.receive(half)
  await clock.advance(60_000)
  expect(first.seen.evicted).toBe(false)
  second.inbox.receive(half)
  await clock.advance(1)
  expect([first.seen.evicted, second.seen.evicted]).toEqual([true, false])
  expect(second.seen.paused).toBe(false)
  second.inbox.close()
  expect(budget.used).toBe(0)
})

test('a compressed message counts as the largest that it may become, and is refused without room', () => {
  const { open, budget } = setUp(1_000_000)
  const [first, second] = [open(), open()]
  first.inbox.receive(grpcMessage(Buffer.alloc(10), 1))
  expect(budget.used).toBe(1_000_000)
  second.inbox.receive(grpcMessage(Buffer.alloc(10), 1))
  expect(second.seen.evicted).toBe(true)
  first.inbox.handled()
  expect(budget).toMatchObject({ used: 0, waiting: 0 })
})
