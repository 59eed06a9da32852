import { RouteConfiguration } from '@envoyproxy/protos/envoy/config/route/v3/route.ts'
import {
  VirtualHost,
  type RouteAction_HashPolicy,
} from '@envoyproxy/protos/envoy/config/route/v3/route_components.ts'
import type { HashOn, RoutePolicy } from '../model/traffic-settings.ts'
import { overAds } from './ads.ts'
import { duration } from './duration.ts'
import { meshDomain, outboundRoutes, unknownHostName, virtualHostName } from './names.ts'
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

const domainsOf = (service: string): string[] => [service, `${service}.${meshDomain}`]

/** Where requests for `payments` and `payments.mesh` go. Needs the cluster of the service. */
export const buildVirtualHost = ({ service, policy }: VirtualHostInput): VirtualHost =>
  VirtualHost.fromPartial({
    name: virtualHostName(service),
    domains: domainsOf(service),
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

/** The outbound listener makes a problem document of it. */
const notFound = (name: string, domains: readonly string[]): VirtualHost =>
  VirtualHost.fromPartial({
    name,
    domains: [...domains],
    routes: [{ name: 'unknown-host', match: { prefix: '/' }, directResponse: { status: 404 } }],
  })

/** In the place of the virtual host of a service that does not exist: answers 404. */
export const buildMissingHost = (service: string): VirtualHost =>
  notFound(virtualHostName(service), domainsOf(service))

/** Answers 404 for every host that has no virtual host of its own. */
export const buildUnknownHost = (): VirtualHost => notFound(unknownHostName, ['*'])

/** The route configuration of every outbound listener: all of its virtual hosts come by VHDS. */
export const buildOutboundRoutes = (): RouteConfiguration =>
  RouteConfiguration.fromPartial({
    name: outboundRoutes,
    vhds: { configSource: overAds(0) },
    // A port in the request's host is ignored.
    ignorePortInHostMatching: true,
  })

/** A route configuration for a name that stands for nothing: Envoy would wait for it for ever. */
export const buildNoRoutes = (name: string): RouteConfiguration =>
  RouteConfiguration.fromPartial({ name, virtualHosts: [notFound(name, ['*'])] })
