import { describe, expect, it } from 'vitest'
import { WaitingWrites } from './waiting-writes.ts'
import type { Write } from './write.ts'

const write = (actor: string): Write<null> => ({ touches: [], actor, traceparent: null, decide: () => null })
const group = (count: number) => Array.from({ length: count }, (_, index) => write(`group-${index}`))

describe('writes that wait', () => {
  it('go before those of a group, and leave it a quarter', () => {
    const waiting = new WaitingWrites(100)
    void waiting.addAll(group(20))
    for (let index = 0; index < 10; index += 1) void waiting.add(write(`alone-${index}`))
    const actors = (limit: number) => waiting.take(limit).map(taken => taken.write.actor)
    expect(actors(4)).toEqual(['alone-0', 'alone-1', 'alone-2', 'group-0'])
    expect(actors(12)).toEqual([
      ...['alone-3', 'alone-4', 'alone-5', 'alone-6', 'alone-7', 'alone-8', 'alone-9'],
      ...['group-1', 'group-2', 'group-3', 'group-4', 'group-5'],
    ])
    expect(actors(100)).toHaveLength(14)
    expect(waiting.size).toBe(0)
  })

  it('are refused beyond the capacity of both together, each on its own', async () => {
    const waiting = new WaitingWrites(3)
    void waiting.add(write('alone'))
    const settled = waiting.addAll(group(3))
    await expect(waiting.add(write('late'))).rejects.toMatchObject({ code: 'overloaded' })
    for (const taken of waiting.take())
      taken.settle({ committed: { result: taken.write.actor, revision: 1, changed: false } })
    expect(await settled).toMatchObject([
      { committed: { result: 'group-0' } },
      { committed: { result: 'group-1' } },
      { error: { code: 'overloaded' } },
    ])
  })
})
