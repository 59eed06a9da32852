/** Random traffic policies, all of them valid, for property tests. */
import fc from 'fast-check'
import { formatDuration } from '../model/duration.ts'
import { balancers, retryConditions, type TrafficPolicySpec } from '../model/traffic-policy.ts'
import type { TrafficPolicyDocument } from '../model/effective-policy.ts'

const partial = <Fields extends object>(fields: { [Key in keyof Fields]: fc.Arbitrary<Fields[Key]> }) =>
  fc.record<Fields, never>(fields, { requiredKeys: [] }) as fc.Arbitrary<Partial<Fields>>

const between = (min: number, max: number) => fc.integer({ min, max }).map(formatDuration)
const count = fc.integer({ min: 1, max: 1_000 })

const hashOn = fc.constantFrom({ header: 'x-user' }, { cookie: 'sid', cookieTtl: '1h' }, { source: true })

const loadBalancing: fc.Arbitrary<NonNullable<TrafficPolicySpec['loadBalancing']>> = fc.oneof(
  fc.record({ policy: fc.constantFrom('ringHash', 'maglev'), hashOn }),
  fc.record({
    policy: fc.constant('ringHash'),
    hashOn,
    ringHash: fc.constantFrom(
      { minimumSize: 1, maximumSize: 1 },
      { minimumSize: 64, maximumSize: 1_048_576 },
      { minimumSize: 65_536, maximumSize: 65_536 },
    ),
  }),
  fc.record({
    policy: fc.constant('maglev'),
    hashOn,
    maglev: fc.constantFrom({ tableSize: 2 }, { tableSize: 655_373 }),
  }),
  fc.record({
    policy: fc.constant('leastRequest'),
    leastRequest: fc.record({ choiceCount: fc.integer({ min: 2, max: 100 }) }),
  }),
  fc.record({
    policy: fc.constantFrom(...balancers.filter(policy => !['ringHash', 'maglev'].includes(policy))),
  }),
  fc.record({
    policy: fc.constantFrom('roundRobin', 'leastRequest'),
    slowStart: fc.record({ window: between(100, 10_000) }),
  }),
)

const settings = {
  timeouts: partial({
    connect: between(1, 60_000),
    // Above any time for one try, as the checks demand.
    request: between(10_000, 100_000),
    perTry: between(0, 10_000),
    idle: between(0, 100_000),
    connectionIdle: between(100, 100_000),
  }),
  retries: partial({
    attempts: fc.integer({ min: 0, max: 10 }),
    on: fc.uniqueArray(fc.constantFrom(...retryConditions), { minLength: 1 }),
    backoff: fc.record({ base: between(1, 100), max: between(100, 1_000) }),
    budget: fc.record({ percent: fc.integer({ min: 0, max: 100 }), minConcurrency: count }),
  }),
  connectionLimits: partial({ connections: count, pending: count, requests: count, retries: count }),
  outlierDetection: partial({
    enabled: fc.boolean(),
    consecutive5xx: fc.nat(100),
    consecutiveGatewayFailures: fc.nat(100),
    interval: between(100, 10_000),
    baseEjectionTime: between(100, 10_000),
    maxEjectionTime: between(10_000, 100_000),
    maxEjectionPercent: fc.nat(100),
  }),
  loadBalancing,
  panicThreshold: fc.nat(100),
}

/** Policies with distinct names, for two destinations and two callers. */
export const arbitraryPolicies: fc.Arbitrary<TrafficPolicyDocument[]> = fc.uniqueArray(
  fc.record({
    name: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f'),
    spec: fc
      .record(
        {
          destination: fc.constantFrom('payments', 'orders'),
          caller: fc.constantFrom('web', 'jobs'),
          ...settings,
        },
        { requiredKeys: ['destination'] },
      )
      .map((spec): TrafficPolicySpec => spec),
  }),
  { selector: ({ name }) => name },
)
