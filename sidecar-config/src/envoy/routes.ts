import { RouteConfiguration } from '@envoyproxy/protos/envoy/config/route/v3/route.ts'
import {
  VirtualHost,
  type RouteAction_HashPolicy,
} from '@envoyproxy/protos/envoy/config/route/v3/route_components.ts'
import type { HashOn, RoutePolicy } from '../model/traffic-settings.ts'
import { duration } from './duration.ts'
import { meshDomain, outboundRoutes, virtualHostName } from './names.ts'
import { retryPolicy } from './retry-policy.ts'
import { unreachedHeader } from './unreached.ts'

export interface VirtualHostInput {
  readonly service: string
  readonly policy: RoutePolicy
}

const hashPolicy = ({ header, cookie, cookieTtl, source }: HashOn): RouteAction_HashPolicy[] => {
  if (header !== undefined)
    return [{ header: { headerName: header, regexRewrite: undefined }, terminal: false }]
  if (cookie !== undefined)
    return [
      {
        cookie: { name: cookie, ttl: duration(cookieTtl ?? '0s'), path: '/', attributes: [] },
        terminal: false,
      },
    ]
  return source === true ? [{ connectionProperties: { sourceIp: true }, terminal: false }] : []
}

/** Where requests for `payments` and `payments.mesh` go. Needs the cluster of the service. */
export const buildVirtualHost = ({ service, policy }: VirtualHostInput): VirtualHost =>
  VirtualHost.fromPartial({
    name: virtualHostName(service),
    domains: [service, `${service}.${meshDomain}`],
    responseHeadersToRemove: [unreachedHeader],
    routes: [
      {
        name: service,
        match: { prefix: '/' },
        route: {
          cluster: service,
          timeout: duration(policy.timeouts.request),
          idleTimeout: duration(policy.timeouts.idle),
          retryPolicy: retryPolicy(policy),
          hashPolicy: policy.hashOn === null ? [] : hashPolicy(policy.hashOn),
        },
      },
    ],
  })

/** For any host that is no service. The outbound listener makes a problem document of the text. */
const unknownHost = VirtualHost.fromPartial({
  name: virtualHostName('*'),
  domains: ['*'],
  routes: [
    {
      name: 'unknown-host',
      match: { prefix: '/' },
      directResponse: {
        status: 404,
        body: { inlineString: 'The mesh has no service of this name, or this caller does not declare it.' },
      },
    },
  ],
})

/**
 * The routes of the outbound listener out of virtual hosts, which a caller may keep and use again. Their order
 * does not matter. A port in the request's host is ignored.
 */
export const buildRoutes = (virtualHosts: Iterable<VirtualHost>): RouteConfiguration => ({
  ...RouteConfiguration.fromPartial({ name: outboundRoutes, ignorePortInHostMatching: true }),
  // Not through fromPartial, which would copy each of them.
  virtualHosts: [
    ...[...virtualHosts].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0)),
    unknownHost,
  ],
})

/** The clusters that a route configuration made from these services needs (X20), sorted. */
export const clustersOfRoutes = (services: Iterable<string>): string[] => [...services].sort()
