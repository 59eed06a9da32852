import { CircuitBreakers } from '@envoyproxy/protos/envoy/config/cluster/v3/circuit_breaker.ts'
import {
  Cluster,
  Cluster_DiscoveryType,
  Cluster_LbPolicy,
} from '@envoyproxy/protos/envoy/config/cluster/v3/cluster.ts'
import { OutlierDetection } from '@envoyproxy/protos/envoy/config/cluster/v3/outlier_detection.ts'
import { durationMs } from '../model/duration.ts'
import type { Protocol } from '../model/service.ts'
import type { ClusterPolicy, OutlierSettings } from '../model/traffic-settings.ts'
import { overAds } from './ads.ts'
import { duration, milliseconds } from './duration.ts'
import { tcpKeepalive, upstreamHttpOptions } from './protocol-options.ts'

export interface ClusterInput {
  readonly service: string
  readonly protocol: Protocol
  readonly policy: ClusterPolicy
}

/**
 * A changed cluster warms until its endpoints have come, and Envoy sends no CDS message meanwhile. Waymark sends
 * them right behind the cluster; if that is lost, this ends the wait, from Envoy's EDS cache.
 */
const endpointsWaitMs = 2_000

const lbPolicies = {
  roundRobin: Cluster_LbPolicy.ROUND_ROBIN,
  leastRequest: Cluster_LbPolicy.LEAST_REQUEST,
  ringHash: Cluster_LbPolicy.RING_HASH,
  maglev: Cluster_LbPolicy.MAGLEV,
  random: Cluster_LbPolicy.RANDOM,
} as const

const balancer = ({ policy, leastRequest, ringHash, maglev, slowStart }: ClusterPolicy['loadBalancing']) => {
  const slowStartConfig = slowStart && { slowStartConfig: { slowStartWindow: duration(slowStart.window) } }
  return {
    lbPolicy: lbPolicies[policy],
    ...(policy === 'roundRobin' && slowStartConfig && { roundRobinLbConfig: slowStartConfig }),
    ...(policy === 'leastRequest' &&
      (leastRequest ?? slowStartConfig) && { leastRequestLbConfig: { ...leastRequest, ...slowStartConfig } }),
    ...(policy === 'ringHash' &&
      ringHash && {
        ringHashLbConfig: { minimumRingSize: ringHash.minimumSize, maximumRingSize: ringHash.maximumSize },
      }),
    ...(policy === 'maglev' && maglev && { maglevLbConfig: { tableSize: maglev.tableSize } }),
  }
}

const circuitBreakers = ({ connectionLimits, retryBudget }: ClusterPolicy): CircuitBreakers =>
  CircuitBreakers.fromPartial({
    thresholds: [
      {
        maxConnections: connectionLimits.connections,
        maxPendingRequests: connectionLimits.pending,
        maxRequests: connectionLimits.requests,
        ...(retryBudget === null
          ? { maxRetries: connectionLimits.retries }
          : {
              retryBudget: {
                budgetPercent: { value: retryBudget.percent },
                minRetryConcurrency: retryBudget.minConcurrency,
              },
            }),
        trackRemaining: true,
      },
    ],
  })

/** A count of 0 switches a criterion off; Envoy wants a positive count and an enforcing percentage of 0. */
const outlierDetection = (settings: OutlierSettings): OutlierDetection =>
  OutlierDetection.fromPartial({
    consecutive5xx: settings.consecutive5xx || undefined,
    enforcingConsecutive5xx: settings.consecutive5xx === 0 ? 0 : 100,
    consecutiveGatewayFailure: settings.consecutiveGatewayFailures || undefined,
    enforcingConsecutiveGatewayFailure: settings.consecutiveGatewayFailures === 0 ? 0 : 100,
    // Comparing instances needs more traffic than most services have.
    enforcingSuccessRate: 0,
    interval: duration(settings.interval),
    baseEjectionTime: duration(settings.baseEjectionTime),
    // Merged from several documents, the base may be above the maximum, which Envoy refuses.
    maxEjectionTime: milliseconds(
      Math.max(durationMs(settings.baseEjectionTime), durationMs(settings.maxEjectionTime)),
    ),
    maxEjectionPercent: settings.maxEjectionPercent,
  })

/** The cluster of a service, as one caller (or all) sees it. Its endpoints come by EDS under the same name. */
export const buildCluster = ({ service, protocol, policy }: ClusterInput): Cluster =>
  Cluster.fromPartial({
    name: service,
    type: Cluster_DiscoveryType.EDS,
    edsClusterConfig: { edsConfig: overAds(endpointsWaitMs) },
    connectTimeout: duration(policy.timeouts.connect),
    ...balancer(policy.loadBalancing),
    commonLbConfig: { healthyPanicThreshold: { value: policy.panicThreshold } },
    circuitBreakers: circuitBreakers(policy),
    ...(policy.outlierDetection.enabled && { outlierDetection: outlierDetection(policy.outlierDetection) }),
    typedExtensionProtocolOptions: upstreamHttpOptions({
      protocol,
      connectionIdle: policy.timeouts.connectionIdle,
    }),
    upstreamConnectionOptions: tcpKeepalive,
  })
