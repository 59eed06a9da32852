import fc from 'fast-check'
import { expect, it } from 'vitest'
import { ManualClock } from '../../test/support/manual-clock.ts'
import { AlignedClock } from './aligned-clock.ts'

const aligned = (machine: ManualClock) => {
  const steps: number[] = []
  const clock = new AlignedClock({ machine, onStep: by => steps.push(by) })
  return { clock, steps }
}

it('goes by the machine until it has heard the shared time', () => {
  const machine = new ManualClock()
  expect(aligned(machine).clock.now()).toBe(machine.now())
})

it('is as near to the shared time as the way there allows, and steps only then', async () => {
  const read = fc.record({
    passed: fc.nat(5_000),
    way: fc.nat(300),
    share: fc.double({ min: 0, max: 1, noNaN: true }),
  })
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: -1e9, max: 1e9 }),
      fc.array(read, { minLength: 1, maxLength: 20 }),
      async (off, reads) => {
        const machine = new ManualClock()
        const { clock, steps } = aligned(machine)
        const shared = () => machine.now() + off
        for (const { passed, way, share } of reads) {
          await machine.advance(passed)
          const askedAt = machine.monotonic()
          await machine.advance(Math.floor(way * share))
          const now = shared()
          await machine.advance(way - Math.floor(way * share))
          clock.align({ now, askedAt, answeredAt: machine.monotonic() })
          expect(Math.abs(clock.now() - shared())).toBeLessThanOrEqual(500 + 2 * 300)
        }
        // A steady clock needs one step at most.
        expect(steps.length).toBeLessThanOrEqual(1)
        if (Math.abs(off) > 1_100) expect(steps).toHaveLength(1)
      },
    ),
  )
})
