/**
 * Names of resources. A service's cluster and endpoints are called like the service; what Waymark adds begins
 * with an underscore, which no service name can, so that a service may be called `inbound` or `xds`.
 */
export const xdsCluster = '_xds'
export const inboundCluster = '_inbound'
export const otlpCluster = '_otlp'

export const outboundListener = 'outbound'
export const inboundListener = 'inbound'

/** The route configuration of the outbound listener, served by RDS. */
export const outboundRoutes = 'outbound'
/** The route configuration inside the inbound listener. */
export const inboundRoutes = 'inbound'

/** The domain under which every service can be called besides its bare name. */
export const meshDomain = 'mesh'

/** Virtual hosts come by VHDS, which begins their names with that of their route configuration. */
export const virtualHostName = (host: string): string => `${outboundRoutes}/${host}`

/** The virtual host that takes what no other does. No service can be called so. */
export const unknownHostName = virtualHostName('*')
