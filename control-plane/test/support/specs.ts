import type { InstanceSpec } from '../../src/domain/instance.ts'
import type { WriteContext } from '../../src/registry/registry.ts'

export const context: WriteContext = { actor: 'test', traceparent: null }

/** A registration with the defaults of the REST API. */
export const instanceSpec = (overrides: Partial<InstanceSpec> = {}): InstanceSpec => ({
  address: '127.0.0.1',
  port: 8080,
  version: null,
  weight: 100,
  metadata: {},
  locality: { region: '', zone: '' },
  lease: { ttlMs: 15_000, deregisterAfterMs: 600_000 },
  checks: [],
  sidecar: null,
  ...overrides,
})
