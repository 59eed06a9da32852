/** The resource types that have a place in the order of X20, and the legacy wildcard of X1. */
const prefix = 'type.googleapis.com/envoy'

export const clusterType = `${prefix}.config.cluster.v3.Cluster`
export const endpointType = `${prefix}.config.endpoint.v3.ClusterLoadAssignment`
export const secretType = `${prefix}.extensions.transport_sockets.tls.v3.Secret`
export const listenerType = `${prefix}.config.listener.v3.Listener`
export const routeType = `${prefix}.config.route.v3.RouteConfiguration`
export const virtualHostType = `${prefix}.config.route.v3.VirtualHost`

const legacyWildcardTypes: ReadonlySet<string> = new Set([clusterType, listenerType, virtualHostType])

/** X1: the types whose first request is a wildcard when it subscribes to nothing by name. */
export const hasLegacyWildcard = (typeUrl: string): boolean => legacyWildcardTypes.has(typeUrl)

const fullStateTypes: ReadonlySet<string> = new Set([clusterType, listenerType])

/** X24: the types whose state-of-the-world responses hold everything; what is missing is gone. */
export const hasFullState = (typeUrl: string): boolean => fullStateTypes.has(typeUrl)
