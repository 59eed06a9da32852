import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { OrderedWindow } from './ordered-window.ts'

describe('a window', () => {
  it('gives all results in the order of their work, whatever ends first, and holds no more than its capacity', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.scheduler(),
        fc.integer({ min: 1, max: 20 }),
        fc.integer({ min: 1, max: 5 }),
        async (scheduler, count, capacity) => {
          const window = new OrderedWindow<number>(capacity)
          let added = 0
          const taken: number[] = []
          const write = async (): Promise<void> => {
            for (; added < count;) {
              added += 1
              const room = window.add(scheduler.schedule(Promise.resolve(added)))
              expect(added - taken.length).toBeLessThanOrEqual(capacity)
              await room
            }
            window.end()
          }
          const read = async (): Promise<void> => {
            for (let some = await window.take(); some !== null; some = await window.take())
              taken.push(...some)
          }
          const both = Promise.all([write(), read()])
          await scheduler.waitFor(both)
          expect(taken).toEqual(Array.from({ length: count }, (_, index) => index + 1))
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
