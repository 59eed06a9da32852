/** What a sidecar's configuration is built with, in one place. */
export { buildCluster, type ClusterInput } from './cluster.ts'
export { buildEndpoints, type EndpointHealth, type EndpointInput, type EndpointsInput } from './endpoints.ts'
export {
  buildInboundCluster,
  buildInboundListener,
  type InboundClusterInput,
  type InboundInput,
} from './inbound.ts'
export { buildOtlpCluster, parseOtlpEndpoint, type OtlpTarget } from './otlp.ts'
export { buildOutboundListener, type OutboundInput } from './outbound.ts'
export { buildRoutes, buildVirtualHost, clustersOfRoutes, type VirtualHostInput } from './routes.ts'
export type { TracingInput } from './tracing.ts'
