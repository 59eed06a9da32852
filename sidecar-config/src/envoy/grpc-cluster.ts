import { CircuitBreakers } from '@envoyproxy/protos/envoy/config/cluster/v3/circuit_breaker.ts'
import {
  Cluster,
  Cluster_DiscoveryType,
  Cluster_LbPolicy,
} from '@envoyproxy/protos/envoy/config/cluster/v3/cluster.ts'
import { OutlierDetection } from '@envoyproxy/protos/envoy/config/cluster/v3/outlier_detection.ts'
import { durationMs } from '../model/duration.ts'
import type { ClusterPolicy, OutlierSettings } from '../model/traffic-settings.ts'
import { overAds } from './ads.ts'
import { duration, milliseconds } from './duration.ts'
import { grpcEndpointsName, type GrpcWeighting } from './grpc-endpoints.ts'

type Balancing = ClusterPolicy['loadBalancing']

/** gRPC libraries have in common round robin and ring hash; one that is asked for another refuses the cluster. */
const grpcWeighting = ({ policy }: Balancing): GrpcWeighting =>
  policy === 'ringHash' || policy === 'maglev' ? 'endpoint' : 'locality'

const balancer = (balancing: Balancing) => {
  if (grpcWeighting(balancing) === 'locality') return { lbPolicy: Cluster_LbPolicy.ROUND_ROBIN }
  const { policy, ringHash } = balancing
  return {
    lbPolicy: Cluster_LbPolicy.RING_HASH,
    ...(policy === 'ringHash' &&
      ringHash && {
        ringHashLbConfig: { minimumRingSize: ringHash.minimumSize, maximumRingSize: ringHash.maximumSize },
      }),
  }
}

/** Percent of failed calls above which an instance is left out: as good as all of them. */
const failedPercent = 99

/**
 * gRPC counts calls per interval, not failures in a row: an instance is left out when as many calls as a row
 * would have had came back in one interval and all of them failed. Without a second such instance to compare there
 * is none to go to.
 */
const outlierDetection = (settings: OutlierSettings): OutlierDetection | undefined => {
  const rows = [settings.consecutive5xx, settings.consecutiveGatewayFailures].filter(count => count > 0)
  if (!settings.enabled || rows.length === 0) return undefined
  return OutlierDetection.fromPartial({
    interval: duration(settings.interval),
    baseEjectionTime: duration(settings.baseEjectionTime),
    maxEjectionTime: milliseconds(
      Math.max(durationMs(settings.baseEjectionTime), durationMs(settings.maxEjectionTime)),
    ),
    maxEjectionPercent: settings.maxEjectionPercent,
    enforcingSuccessRate: 0,
    enforcingFailurePercentage: 100,
    failurePercentageThreshold: failedPercent,
    failurePercentageRequestVolume: Math.min(...rows),
    failurePercentageMinimumHosts: 2,
  })
}

/** The cluster of a service for a gRPC client without a sidecar: what gRPC reads of a cluster, and nothing else. */
export const buildGrpcCluster = ({
  service,
  policy,
}: {
  readonly service: string
  readonly policy: ClusterPolicy
}): Cluster =>
  Cluster.fromPartial({
    name: service,
    type: Cluster_DiscoveryType.EDS,
    edsClusterConfig: {
      edsConfig: overAds(0),
      serviceName: grpcEndpointsName(service, grpcWeighting(policy.loadBalancing)),
    },
    ...balancer(policy.loadBalancing),
    circuitBreakers: CircuitBreakers.fromPartial({
      thresholds: [{ maxRequests: policy.connectionLimits.requests }],
    }),
    outlierDetection: outlierDetection(policy.outlierDetection),
  })
