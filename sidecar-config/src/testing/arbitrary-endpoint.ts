/** Random instances, often with equal addresses and localities, for property tests. */
import fc from 'fast-check'
import type { EndpointInput } from '../envoy/endpoints.ts'

export const arbitraryEndpoint: fc.Arbitrary<EndpointInput> = fc.record({
  id: fc.string({ minLength: 1, maxLength: 3 }),
  address: fc.constantFrom('10.0.0.1', '10.0.0.2', '2001:db8::1'),
  port: fc.integer({ min: 1, max: 4 }),
  weight: fc.integer({ min: -1, max: 1_000 }),
  health: fc.constantFrom('HEALTHY', 'DEGRADED', 'UNHEALTHY', 'DRAINING', 'UNKNOWN'),
  locality: fc.record({ region: fc.constantFrom('', 'eu'), zone: fc.constantFrom('', 'a', 'b') }),
})
