import fc from 'fast-check'
import { expect, it } from 'vitest'
import { loggedChange } from '../../test/support/changes.ts'
import { encodeEvent, toAttributes, type EncodedEvent } from './cloud-event.ts'
import { nextWave } from './wave.ts'

const event = (name: string, revision: number): EncodedEvent => {
  const change = loggedChange({ revision, name })
  return encodeEvent(toAttributes(change, '/waymark'), change.payload)
}

it('waves make up the events in order, none has two of one aggregate, and none could be longer', () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom('a', 'b', 'c'), { maxLength: 12 }), names => {
      const events = names.map((name, index) => event(name, index + 1))
      const waves: (readonly EncodedEvent[])[] = []
      for (let from = 0; from < events.length; from += waves.at(-1)?.length ?? 0) {
        waves.push(nextWave(events, from))
        expect(waves.at(-1)).not.toEqual([])
      }
      expect(waves.flat()).toEqual(events)
      for (const [index, wave] of waves.entries()) {
        const keys = wave.map(each => each.event.partitionkey)
        expect(new Set(keys).size).toBe(keys.length)
        const next = waves[index + 1]?.[0]?.event.partitionkey
        if (next !== undefined) expect(keys).toContain(next)
      }
    }),
  )
})
