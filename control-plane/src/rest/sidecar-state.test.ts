import fc from 'fast-check'
import { expect, it } from 'vitest'
import type { SidecarEntry } from './ports.ts'
import { after, cursorOf, judgeSidecar, sidecarStates, worstFirst } from './sidecar-state.ts'

const now = Date.parse('2026-01-01T01:00:00Z')
const type = {
  typeUrl: 'type.googleapis.com/envoy.config.cluster.v3.Cluster',
  wildcard: true,
  subscribed: 0,
  sent: 5,
  acked: 5,
  waiting: 0,
  unansweredSince: null,
}
const nack = {
  typeUrl: type.typeUrl,
  names: ['orders'],
  version: 'v',
  revision: 7,
  message: 'no',
  at: now - 5_000,
}
const synced: SidecarEntry = {
  node: 'payments/payments-1',
  replica: 'r1',
  seenAt: new Date(now - 1_000).toISOString(),
  endedAt: null,
  lost: false,
  rivals: [],
  status: {
    node: 'payments/payments-1',
    agent: 'envoy/1.40.0',
    stream: 1,
    connectedAt: now - 600_000,
    address: '10.0.0.9:4711',
    heardAt: now - 2_000,
    rivals: [],
    syncedRevision: 7,
    answeredRevision: 7,
    inSync: true,
    types: [type],
    nacks: [],
  },
}
const withStatus = (more: Partial<SidecarEntry['status']>): SidecarEntry => ({
  ...synced,
  status: { ...synced.status, ...more },
})
const waiting = (ms: number): SidecarEntry =>
  withStatus({ inSync: false, types: [{ ...type, unansweredSince: now - ms }] })

it.each([
  ['all is ACKed', synced, 'in-sync', now - 2_000],
  ['something is under way', waiting(9_000), 'pending', now - 9_000],
  ['something was not answered for more than 10 s', waiting(10_001), 'stuck', now - 10_001],
  ['something is held back', withStatus({ inSync: false }), 'pending', now - 2_000],
  ['something was refused', withStatus({ inSync: false, nacks: [nack] }), 'rejected', now - 5_000],
  ['its replica is gone', { ...waiting(60_000), lost: true }, 'stale', now - 1_000],
  [
    'it has left',
    { ...waiting(60_000), endedAt: new Date(now - 3_000).toISOString() },
    'disconnected',
    now - 3_000,
  ],
])('when %s', (_, entry, state, since) => {
  expect(judgeSidecar(entry, now)).toEqual({ entry, state, since })
})

it('pages put together are the list, worst first', () => {
  const judged = fc.record({ node: fc.string({ minLength: 1 }), state: fc.constantFrom(...sidecarStates) })
  fc.assert(
    fc.property(
      fc.uniqueArray(judged, { selector: ({ node }) => node }),
      fc.integer({ min: 1, max: 5 }),
      (all, limit) => {
        const sorted = worstFirst(
          all.map(({ node, state }) => ({ entry: { ...synced, node }, state, since: now })),
        )
        const ranks = sorted.map(({ state }) => sidecarStates.indexOf(state))
        expect(ranks).toEqual(ranks.toSorted((a, b) => a - b))
        const paged = []
        for (let page = sorted.slice(0, limit); page.length > 0;) {
          paged.push(...page)
          const last = page.at(-1)
          page = last === undefined ? [] : after(sorted, cursorOf(last)).slice(0, limit)
        }
        expect(paged).toEqual(sorted)
      },
    ),
  )
})
