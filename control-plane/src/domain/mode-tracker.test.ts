import { describe, expect, it } from 'vitest'
import { capabilities } from './mode.ts'
import { settledMs, slowMs, type ModeInput } from './mode-rules.ts'
import { ModeTracker } from './mode-tracker.ts'

const fine: ModeInput = {
  loaded: true,
  database: { connected: true, lastError: null, slowestMs: 3 },
  writes: { refusal: null, restoredMs: null, slowestMs: 5, waiting: 0 },
  revision: 7,
  head: 7,
  newcomers: 0,
  swept: true,
  recoveringUntil: null,
  selfPreservation: null,
  sinks: [],
}
const away: ModeInput = { ...fine, database: { connected: false, lastError: 'ECONNREFUSED', slowestMs: 0 } }
const full: ModeInput = { ...fine, writes: { ...fine.writes, refusal: 'no space left on device' } }

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
    [
      'before the state has loaded',
      { ...fine, loaded: false },
      { discover: 'floor', health: 'floor', push: 'floor' },
    ],
    ['while nobody watches the leases', { ...fine, swept: false }, { health: 'degraded' }],
    ['after an interruption', { ...fine, recoveringUntil: 1_000 }, { health: 'recovery' }],
    ['when too many leases are due', { ...fine, selfPreservation: '40 of 100' }, { health: 'degraded' }],
    ['with a full disk', full, { register: 'floor', health: 'degraded', publish: 'degraded' }],
    [
      'right after writes were refused',
      { ...fine, writes: { ...fine.writes, restoredMs: settledMs - 1 } },
      { register: 'recovery' },
    ],
    ['long after', { ...fine, writes: { ...fine.writes, restoredMs: settledMs } }, {}],
    [
      'with slow writes',
      { ...fine, writes: { ...fine.writes, slowestMs: slowMs + 1 } },
      { register: 'degraded' },
    ],
    [
      'with slow reads',
      { ...fine, database: { ...fine.database, slowestMs: slowMs + 1 } },
      { discover: 'degraded', push: 'degraded' },
    ],
    // The usual: something is always on its way.
    [
      'a revision behind',
      { ...fine, head: 8, newcomers: 1, sinks: [{ sink: 'hook', error: null, lag: 1 }] },
      {},
    ],
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

  it('recovers before it is in target again', () => {
    const tracker = new ModeTracker()
    tracker.states(away, 0)
    const behind: ModeInput = {
      ...fine,
      head: 9,
      newcomers: 3,
      sinks: [{ sink: 'hook', error: null, lag: 40 }],
    }
    expect(modes(tracker, behind, 1)).toMatchObject({
      discover: 'recovery',
      push: 'recovery',
      publish: 'recovery',
    })
    // A second outage on the way, and the rest of the way.
    expect(modes(tracker, away, 2)).toMatchObject({ discover: 'degraded', publish: 'floor' })
    expect(modes(tracker, behind, 3)).toMatchObject({
      discover: 'recovery',
      push: 'recovery',
      publish: 'recovery',
    })
    expect(modes(tracker, { ...behind, head: 7 }, 4)).toMatchObject({ discover: 'target', push: 'recovery' })
    expect(modes(tracker, fine, 5)).toMatchObject({ push: 'target', publish: 'target' })
    expect(modes(tracker, behind, 6)).toMatchObject({ discover: 'target', push: 'target', publish: 'target' })
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
