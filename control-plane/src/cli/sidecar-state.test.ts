import { describe, expect, it } from 'vitest'
import type { SidecarView } from '../rest/schemas/sidecar.ts'
import { isFinding, judgeSidecar } from './sidecar-state.ts'

const now = '2026-01-01T01:00:00.000Z'
const before = (seconds: number) => new Date(Date.parse(now) - seconds * 1_000).toISOString()
const type = {
  typeUrl: 'type.googleapis.com/envoy.config.cluster.v3.Cluster',
  wildcard: true,
  subscribed: 0,
  sent: 5,
  acked: 5,
  waiting: 0,
  unansweredSince: null,
}
const synced: SidecarView = {
  node: 'payments/payments-1',
  replica: 'r1',
  agent: 'envoy/1.40.0',
  connectedAt: before(600),
  seenAt: before(1),
  syncedRevision: 7,
  answeredRevision: 7,
  inSync: true,
  types: [type],
  nacks: [],
}
const behind: SidecarView = {
  ...synced,
  inSync: false,
  types: [{ ...type, acked: 4, waiting: 2, unansweredSince: before(1) }],
}
const nack = {
  typeUrl: type.typeUrl,
  names: ['orders'],
  version: 'v',
  revision: 7,
  message: 'no',
  at: before(5),
}

describe('judgeSidecar', () => {
  it.each<[string, SidecarView, string, boolean]>([
    ['all is ACKed', synced, 'in sync', false],
    ['something is under way', behind, 'behind', false],
    [
      'Envoy does not answer',
      { ...behind, types: [{ ...type, unansweredSince: before(60) }] },
      'stuck',
      true,
    ],
    ['its replica is silent', { ...synced, seenAt: before(120) }, 'stale', true],
    ['Envoy has refused something', { ...synced, nacks: [nack] }, 'refused', true],
    [
      'it was refused before its replica fell silent',
      { ...synced, seenAt: before(120), nacks: [nack] },
      'refused',
      true,
    ],
  ])('when %s', (_when, sidecar, state, finding) => {
    expect(judgeSidecar(sidecar, now).state).toBe(state)
    expect(isFinding(judgeSidecar(sidecar, now).state)).toBe(finding)
  })

  it('says what stands out', () => {
    expect(judgeSidecar(behind, now).words).toBe('3 resources under way')
    expect(judgeSidecar({ ...synced, nacks: [nack] }, now).words).toBe('refused orders')
    expect(judgeSidecar({ ...synced, seenAt: before(120) }, now).words).toBe(
      'nothing heard from replica r1 for 2m',
    )
  })
})
