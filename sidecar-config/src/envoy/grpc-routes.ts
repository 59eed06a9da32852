import { RouteConfiguration } from '@envoyproxy/protos/envoy/config/route/v3/route.ts'
import {
  RetryPolicy,
  type RouteAction_HashPolicy,
} from '@envoyproxy/protos/envoy/config/route/v3/route_components.ts'
import { durationMs } from '../model/duration.ts'
import type { HashOn, RoutePolicy } from '../model/traffic-settings.ts'
import { duration, milliseconds } from './duration.ts'

type Condition = RoutePolicy['retries']['on'][number]

/**
 * A connection that breaks and an answer of a gateway are UNAVAILABLE to a gRPC client. Calls that have left the
 * client in no way, or that a server has refused unseen, gRPC repeats by itself.
 */
const grpcConditions: Readonly<Partial<Record<Condition, string>>> = {
  reset: 'unavailable',
  'gateway-error': 'unavailable',
  '5xx': 'unavailable',
  cancelled: 'cancelled',
  'deadline-exceeded': 'deadline-exceeded',
  internal: 'internal',
  'resource-exhausted': 'resource-exhausted',
  unavailable: 'unavailable',
}

/** undefined: gRPC's own, transparent retries only. */
const grpcRetryPolicy = ({ retries }: RoutePolicy): RetryPolicy | undefined => {
  const on = new Set(retries.on.flatMap(condition => grpcConditions[condition] ?? []))
  if (retries.attempts === 0 || on.size === 0) return undefined
  const base = durationMs(retries.backoff.base)
  return RetryPolicy.fromPartial({
    retryOn: [...on].sort().join(','),
    numRetries: retries.attempts,
    retryBackOff: {
      baseInterval: milliseconds(base),
      // Merged from several documents, the maximum may be below the base, which gRPC refuses.
      maxInterval: milliseconds(Math.max(base, durationMs(retries.backoff.max))),
    },
  })
}

/** A source address is nothing to a client; its channel is. Cookies do not exist in gRPC. */
const hashPolicy = ({ header, source }: HashOn): RouteAction_HashPolicy[] => {
  if (header !== undefined)
    return [{ header: { headerName: header, regexRewrite: undefined }, terminal: false }]
  return source === true ? [{ filterState: { key: 'io.grpc.channel_id' }, terminal: false }] : []
}

/** The routes behind the API listener of a service: whatever the authority, all calls go to its cluster. */
export const buildGrpcRoutes = ({
  service,
  policy,
}: {
  readonly service: string
  readonly policy: RoutePolicy
}): RouteConfiguration =>
  RouteConfiguration.fromPartial({
    name: service,
    virtualHosts: [
      {
        name: service,
        domains: ['*'],
        routes: [
          {
            name: service,
            match: { prefix: '' },
            route: {
              cluster: service,
              // Caps the deadline of the call; 0 leaves it as the caller has set it.
              maxStreamDuration: { maxStreamDuration: duration(policy.timeouts.request) },
              retryPolicy: grpcRetryPolicy(policy),
              hashPolicy: policy.hashOn === null ? [] : hashPolicy(policy.hashOn),
            },
          },
        ],
      },
    ],
  })
