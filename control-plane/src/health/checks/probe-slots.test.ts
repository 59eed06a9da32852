import { describe, expect, it } from 'vitest'
import { ProbeSlots } from './probe-slots.ts'

describe('slots of probes', () => {
  it('bound what runs at once, in order of arrival', async () => {
    const slots = new ProbeSlots({ fast: 2, slow: 1 })
    const gates = Array.from({ length: 5 }, () => Promise.withResolvers<undefined>())
    const started: number[] = []
    const running = gates.map((gate, index) =>
      slots.run('fast', async () => {
        started.push(index)
        await gate.promise
        return index
      }),
    )
    await Promise.resolve()
    expect(started).toEqual([0, 1])
    expect(slots.waiting).toBe(3)
    gates[1]?.resolve(undefined)
    await running[1]
    await Promise.resolve()
    expect(started).toEqual([0, 1, 2])
    for (const gate of gates) gate.resolve(undefined)
    expect(await Promise.all(running)).toEqual([0, 1, 2, 3, 4])
    expect(slots.waiting).toBe(0)
  })

  it('let slow targets wait for each other only', async () => {
    const slots = new ProbeSlots({ fast: 1, slow: 1 })
    const hanging = Promise.withResolvers<undefined>()
    const slow = [1, 2, 3].map(() => slots.run('slow', () => hanging.promise))
    expect(await slots.run('fast', () => Promise.resolve('done'))).toBe('done')
    expect(slots.waiting).toBe(2)
    hanging.resolve(undefined)
    await Promise.all(slow)
  })

  it('free the slot of work that fails', async () => {
    const slots = new ProbeSlots({ fast: 1, slow: 1 })
    await expect(slots.run('fast', () => Promise.reject(new Error('broken')))).rejects.toThrow('broken')
    expect(await slots.run('fast', () => Promise.resolve(1))).toBe(1)
  })
})
