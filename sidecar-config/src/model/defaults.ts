import type { TrafficSettings } from './traffic-settings.ts'

/** What holds where no document says otherwise. docs/reference/documents.md shows these numbers. */
export const defaultTrafficSettings: TrafficSettings = {
  timeouts: {
    // A SYN that got no answer within a second will get none; another instance is asked.
    connect: '1s',
    // Longer than people wait. A service with longer answers or streams says so.
    request: '15s',
    // With retries only where the application was not reached, a slow try is not worth a second one.
    perTry: '0s',
    // A request that is stuck in the middle must not hold its slot for ever.
    idle: '5m',
    // Node, uvicorn and others close idle connections after 5 s. Whoever reuses one at that moment gets a reset,
    // so the caller has to close first.
    connectionIdle: '4s',
  },
  retries: {
    attempts: 2,
    // Only what never reached an application: safe for every method.
    on: ['connect-failure', 'refused-stream', 'reset-before-request', 'unreached'],
    backoff: { base: '25ms', max: '250ms' },
    budget: null,
  },
  connectionLimits: {
    connections: 1_024,
    pending: 1_024,
    requests: 1_024,
    // Half of the requests: when one of two instances dies, every second request is a retry for a moment. These
    // retries are cheap, since no application has worked on the first try.
    retries: 512,
  },
  outlierDetection: {
    enabled: true,
    // A 500 is mostly the fault of the request, and would eject every instance in turn.
    consecutive5xx: 0,
    consecutiveGatewayFailures: 5,
    interval: '5s',
    // Bridges the time until health checks have found out; then EDS says it.
    baseEjectionTime: '15s',
    maxEjectionTime: '5m',
    // What a shared dependency breaks must not empty the cluster.
    maxEjectionPercent: 50,
  },
  // An instance that fails at once always has the fewest requests: with leastRequest it would draw calls, and
  // retries, until it is ejected.
  loadBalancing: { policy: 'roundRobin' },
  // When most instances look dead, the looking is more likely to be wrong than all of them.
  panicThreshold: 50,
}
