import { expect, test } from 'vitest'
import { ManualClock } from '../../test/support/manual-clock.ts'
import { settle, type Outlook } from './settle.ts'

/** What is seen at a time, in milliseconds since the start, up to the next one. */
const history = async (waitMs: number, ...seen: readonly (readonly [number, Outlook])[]) => {
  const clock = new ManualClock()
  let ended: number | undefined
  const settled = settle({
    ask: () => Promise.resolve(seen.findLast(([from]) => from <= clock.monotonic())?.[1] ?? 'settled'),
    outlook: outlook => outlook,
    clock,
    waitMs,
  })
  void settled.then(() => {
    ended = clock.monotonic()
  })
  await clock.advance(100_000)
  return { outlook: await settled, ended }
}

test('without a wait the first answer counts', async () => {
  expect(await history(0, [0, 'finding'])).toEqual({ outlook: 'finding', ended: 0 })
  expect(await history(0, [0, 'pending'])).toEqual({ outlook: 'pending', ended: 0 })
})

test('who is behind is waited for, and not for longer than asked', async () => {
  expect(await history(30_000, [0, 'pending'], [1_000, 'settled'])).toEqual({
    outlook: 'settled',
    ended: 1_000,
  })
  expect(await history(5_000, [0, 'pending'])).toEqual({ outlook: 'pending', ended: 5_000 })
})

test('what was mended a moment ago at another replica is no finding', async () => {
  expect(await history(30_000, [0, 'finding'], [1_000, 'settled'])).toEqual({
    outlook: 'settled',
    ended: 1_000,
  })
  expect(await history(30_000, [0, 'finding'], [1_000, 'pending'], [3_000, 'settled'])).toEqual({
    outlook: 'settled',
    ended: 3_000,
  })
})

test('a finding that stands ends the wait', async () => {
  expect(await history(30_000, [0, 'finding'])).toEqual({ outlook: 'finding', ended: 2_000 })
  expect(await history(30_000, [0, 'pending'], [1_000, 'finding'])).toEqual({
    outlook: 'finding',
    ended: 3_000,
  })
  expect(await history(1_000, [0, 'finding'])).toEqual({ outlook: 'finding', ended: 1_000 })
})
