import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { OrderedWindow } from './ordered-window.ts'

describe('a window', () => {
  it('gives all results in the order of their work, whatever ends first, and holds no more than its capacity', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.scheduler(),
        fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 1, maxLength: 20 }),
        fc.integer({ min: 1, max: 5 }),
        async (scheduler, sizes, capacity) => {
          const window = new OrderedWindow<number>(capacity)
          let held = 0
          const taken: number[] = []
          const write = async (): Promise<void> => {
            for (const [index, size] of sizes.entries()) {
              expect(held).toBeLessThan(capacity)
              held += size
              await window.add(scheduler.schedule(Promise.resolve(index)), size)
            }
            window.end()
          }
          const read = async (): Promise<void> => {
            for (let some = await window.take(); some !== null; some = await window.take()) {
              for (const index of some) held -= sizes[index] ?? Number.NaN
              taken.push(...some)
            }
          }
          const both = Promise.all([write(), read()])
          await scheduler.waitFor(both)
          expect(taken).toEqual(sizes.map((_, index) => index))
        },
      ),
    )
  })

  it('lets its writer go when its reader has gone', async () => {
    const window = new OrderedWindow<number>(1)
    const never = new Promise<number>(() => undefined)
    const room = window.add(never)
    window.abandon()
    await room
    expect(window.abandoned).toBe(true)
    await window.add(never)
  })
})
