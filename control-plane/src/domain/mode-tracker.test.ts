import { describe, expect, it } from 'vitest'
import { capabilities } from './mode.ts'
import { ModeTracker, type ModeInput } from './mode-tracker.ts'

const fine: ModeInput = {
  loaded: true,
  database: { connected: true, lastError: null },
  revision: 7,
  swept: true,
  recoveringUntil: null,
  selfPreservation: null,
  sinks: [],
}
const away: ModeInput = { ...fine, database: { connected: false, lastError: 'ECONNREFUSED' } }

const modes = (tracker: ModeTracker, input: ModeInput, now = 0) =>
  Object.fromEntries(tracker.states(input, now).map(({ capability, mode }) => [capability, mode]))

describe('ModeTracker', () => {
  it('is in target with everything there', () => {
    const states = new ModeTracker().states(fine, 0)
    expect(states.map(({ capability }) => capability)).toEqual(capabilities)
    expect(states.every(({ mode, endsWhen }) => mode === 'target' && endsWhen === null)).toBe(true)
  })

  it.each<[string, ModeInput, Record<string, string>]>([
    [
      'without the database',
      away,
      { register: 'floor', discover: 'degraded', health: 'degraded', push: 'degraded', publish: 'floor' },
    ],
    ['before the state has loaded', { ...fine, loaded: false }, { discover: 'floor', push: 'floor' }],
    ['while nobody watches the leases', { ...fine, swept: false }, { health: 'degraded' }],
    ['after an interruption', { ...fine, recoveringUntil: 1_000 }, { health: 'recovery' }],
    ['when too many leases are due', { ...fine, selfPreservation: '40 of 100' }, { health: 'degraded' }],
    [
      'with a failing sink',
      { ...fine, sinks: [{ sink: 'hook', error: '500', lag: 3 }] },
      { publish: 'degraded' },
    ],
  ])('%s', (_, input, expected) => {
    const all = {
      register: 'target',
      discover: 'target',
      health: 'target',
      push: 'target',
      publish: 'target',
    }
    expect(modes(new ModeTracker(), input)).toEqual({ ...all, ...expected })
    for (const state of new ModeTracker().states(input, 0)) {
      if (state.mode !== 'target') expect(state.endsWhen).not.toBeNull()
    }
  })

  it('keeps since when a mode holds, until it ends', () => {
    const tracker = new ModeTracker()
    const since = (input: ModeInput, now: number) =>
      tracker.states(input, now).find(({ capability }) => capability === 'register')?.since
    expect(since(fine, 1_000)).toBe('1970-01-01T00:00:01.000Z')
    expect(since(away, 2_000)).toBe('1970-01-01T00:00:02.000Z')
    expect(since(away, 3_000)).toBe('1970-01-01T00:00:02.000Z')
    expect(since(fine, 4_000)).toBe('1970-01-01T00:00:04.000Z')
  })
})
