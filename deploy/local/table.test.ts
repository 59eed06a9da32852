import { expect, test } from 'vitest'
import {
  alignColumns,
  describeChanges,
  formatVerdicts,
  plainPaint,
  renderTable,
  terminalPaint,
  type Snapshot,
} from './table.ts'

const snapshot: Snapshot = {
  revision: 46,
  modes: [{ capability: 'register', mode: 'target', evidence: 'the database takes writes', endsWhen: null }],
  services: [
    {
      service: 'payments',
      verdicts: new Map([
        ['unhealthy', 1],
        ['healthy', 2],
      ]),
      sidecars: { inSync: 2, expected: 3 },
      requestsPerSecond: 19.6,
    },
    { service: 'web', verdicts: new Map(), sidecars: null, requestsPerSecond: null },
  ],
}

const recovery = (endsWhen: string): Snapshot => ({
  ...snapshot,
  modes: [{ capability: 'health', mode: 'recovery', evidence: 'leases get a full TTL', endsWhen }],
})

test('shows mode, revision and a row per service', () => {
  expect(renderTable(snapshot, plainPaint)).toEqual([
    'mode  target   revision 46',
    '',
    'service    instances                sidecars in sync   requests/s',
    'payments   2 healthy, 1 unhealthy   2 of 3             20',
    'web        none                     not known          -',
  ])
})

test('a mode other than target shows its evidence and its end; no answer is shown as such', () => {
  expect(renderTable(recovery('the database answers'), plainPaint)[0]).toBe(
    'mode  health: recovery, leases get a full TTL (until the database answers)   revision 46',
  )
  expect(renderTable({ revision: null, modes: [], services: [] }, plainPaint)).toEqual([
    'mode  the control plane does not answer',
  ])
})

test('the best verdict comes first, one that is not known here last', () => {
  const verdicts = new Map([
    ['novel', 1],
    ['draining', 2],
    ['healthy', 3],
    ['unknown', 0],
  ])
  expect(formatVerdicts(verdicts, plainPaint)).toBe('3 healthy, 2 draining, 1 novel')
})

test('colours do not move the columns', () => {
  const lines = alignColumns([
    [terminalPaint('green', 'a'), 'x'],
    ['long cell', 'y'],
  ])
  expect(lines).toEqual([`${terminalPaint('green', 'a')}           x`, 'long cell   y'])
})

test('plain output has a line for what has changed and for nothing else', () => {
  expect(describeChanges(snapshot, snapshot)).toEqual([])
  const [first, second] = snapshot.services
  if (first === undefined || second === undefined) throw new Error('two services')
  const faster = { ...snapshot, services: [{ ...first, requestsPerSecond: 500 }, second] }
  expect(describeChanges(snapshot, faster)).toEqual([])
  const synced = { ...snapshot, services: [{ ...first, sidecars: { inSync: 3, expected: 3 } }, second] }
  expect(describeChanges(snapshot, synced)).toEqual([
    'payments: 2 healthy, 1 unhealthy; sidecars in sync 3 of 3',
  ])
  expect(describeChanges(snapshot, recovery('at 10:00'))).toEqual([
    'mode: health: recovery, leases get a full TTL',
  ])
  expect(describeChanges(recovery('at 10:00'), recovery('at 10:01'))).toEqual([])
})
