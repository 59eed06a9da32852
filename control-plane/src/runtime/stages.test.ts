import { describe, expect, it } from 'vitest'
import { ManualClock } from '../../test/support/manual-clock.ts'
import type { Component } from './component.ts'
import { silentLogger } from './logger.ts'
import { Stages } from './stages.ts'

/** A component that says when it begins and ends, a while after its signal. */
const component = (name: string, log: string[]): Component => ({
  name,
  start: async signal => {
    log.push(`${name} begins`)
    await new Promise<void>(resolve => {
      signal.addEventListener('abort', () => {
        resolve()
      })
    })
    await Promise.resolve()
    log.push(`${name} ends`)
  },
})

describe('Stages', () => {
  it('begins and ends each group by itself, and waits until all of it have ended', async () => {
    const log: string[] = []
    const [one, two, last] = ['one', 'two', 'last'].map(name => component(name, log)) as [
      Component,
      Component,
      Component,
    ]
    const stages = new Stages({ stages: { front: [one, two], back: [last] }, logger: silentLogger })
    expect(log).toEqual([])
    stages.start('back')
    stages.start('front')
    await stages.stop('front')
    expect(log).toEqual(['last begins', 'one begins', 'two begins', 'one ends', 'two ends'])
    expect([stages.signal('front').aborted, stages.signal('back').aborted]).toEqual([true, false])
    await stages.stop('back')
    stages.finish()
    await stages.ended
    expect(log.at(-1)).toBe('last ends')
  })

  it('tells of a component that ends by a defect, and stops all the same', async () => {
    const clock = new ManualClock()
    const broken: Component = {
      name: 'broken',
      start: async signal => {
        await clock.sleep(1, signal)
        throw new Error('a defect')
      },
    }
    const stages = new Stages({ stages: { only: [broken] }, logger: silentLogger })
    stages.start('only')
    const seen = expect(stages.ended).rejects.toThrow('a defect')
    await clock.advance(1)
    await seen
    await stages.stop('only')
  })
})
