import { describe, expect, it } from 'vitest'
import { writeContext } from './write-context.ts'

const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'

describe('writeContext', () => {
  it('keeps what a caller says of itself apart from the own parts of Waymark', () => {
    expect(writeContext({ headers: {} })).toEqual({ actor: 'rest', traceparent: null })
    expect(writeContext({ headers: { 'x-waymark-actor': 'sweeper' } }).actor).toBe('rest:sweeper')
    expect(writeContext({ headers: { 'x-waymark-actor': 'Ada L. <ada@example.org>' } }).actor).toBe(
      'rest:Ada L. <ada@example.org>',
    )
  })

  it.each(['', ' ', 'x'.repeat(101), 'caf\u00e9', 'a\tb', ' a', 'a '])('refuses the actor %j', name => {
    expect(() => writeContext({ headers: { 'x-waymark-actor': name } })).toThrow('x-waymark-actor')
  })

  it('passes a trace on and leaves a broken one out', () => {
    expect(writeContext({ headers: { traceparent } }).traceparent).toBe(traceparent)
    for (const broken of [
      'x',
      traceparent.toUpperCase(),
      traceparent.replace('4bf92f3577b34da6a3ce929d0e0e4736', '0'.repeat(32)),
      traceparent.replace('00f067aa0ba902b7', '0'.repeat(16)),
      `${traceparent}-more`,
      traceparent.replace(/^00/, 'ff'),
    ]) {
      expect([broken, writeContext({ headers: { traceparent: broken } }).traceparent]).toEqual([broken, null])
    }
  })
})
