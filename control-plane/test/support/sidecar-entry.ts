import type { SidecarEntry } from '../../src/rest/ports.ts'

const at = Date.parse('2026-01-01T00:00:00Z')

/** A sidecar in sync, served by `replica`. */
export const sidecarEntry = (node: string, replica: string): SidecarEntry => ({
  node,
  replica,
  seenAt: new Date(at).toISOString(),
  endedAt: null,
  lost: false,
  rivals: [],
  status: {
    node,
    agent: 'envoy/1.40.0',
    stream: 1,
    connectedAt: at,
    address: '10.0.0.9:4711',
    heardAt: at,
    rivals: [],
    syncedRevision: 1,
    answeredRevision: 1,
    inSync: true,
    types: [],
    nacks: [],
  },
})
