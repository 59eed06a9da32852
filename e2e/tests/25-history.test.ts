import { expect, it } from 'vitest'
import { runTorture } from '../torture/torture.ts'

it('eight clients at two replicas: what they are told is one history, whatever breaks', async () => {
  // `npm run torture -- --minutes 0.1 --seed 4` shows the same faults: each kind once.
  const { history, violations, faults } = await runTorture({ seed: 4, durationMs: 6_000 })
  expect(violations.slice(0, 20)).toEqual([])
  // Something was there to be checked.
  expect(faults).toBeGreaterThan(2)
  const done = history.operations.filter(({ status }) => status !== null && status < 300)
  expect(done.length).toBeGreaterThan(100)
  expect(done.map(({ kind }) => kind)).toEqual(
    expect.arrayContaining(['register', 'apply', 'delete', 'read']),
  )
  expect(history.logs[0]?.sets.length).toBeGreaterThan(50)
})
