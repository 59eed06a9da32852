import { RetryPolicy } from '@envoyproxy/protos/envoy/config/route/v3/route_components.ts'
import { durationMs } from '../model/duration.ts'
import type { RoutePolicy } from '../model/traffic-settings.ts'
import { any, messageTypes } from './any.ts'
import { duration } from './duration.ts'
import { unreachedHeader } from './unreached.ts'

/**
 * How often the balancer is asked for an instance that was not tried yet, before a tried one is taken. Round robin
 * mostly needs one; leastRequest with two instances prefers the one that fails at once, three times out of four.
 */
const hostSelectionAttempts = 32

const envoyCondition = (condition: RoutePolicy['retries']['on'][number]): string =>
  condition === 'unreached' ? 'retriable-headers' : condition

/** undefined: never retry. */
export const retryPolicy = ({ retries, timeouts }: RoutePolicy): RetryPolicy | undefined => {
  if (retries.attempts === 0) return undefined
  const perTry = durationMs(timeouts.perTry)
  return RetryPolicy.fromPartial({
    retryOn: retries.on.map(envoyCondition).join(','),
    numRetries: retries.attempts,
    ...(perTry > 0 && { perTryTimeout: duration(timeouts.perTry) }),
    retryBackOff: {
      baseInterval: duration(retries.backoff.base),
      maxInterval: duration(retries.backoff.max),
    },
    retryHostPredicate: [
      {
        name: 'envoy.retry_host_predicates.previous_hosts',
        typedConfig: any(messageTypes.previousHosts, {}),
      },
    ],
    hostSelectionRetryMaxAttempts: hostSelectionAttempts,
    ...(retries.on.includes('unreached') && {
      retriableHeaders: [{ name: unreachedHeader, presentMatch: true }],
    }),
  })
}
