import {
  buildApiListener,
  buildGrpcServerListener,
  grpcServerPrefix,
} from '@waymark/sidecar-config/envoy/api-listener.ts'
import { buildGrpcCluster } from '@waymark/sidecar-config/envoy/grpc-cluster.ts'
import {
  buildGrpcEndpoints,
  grpcEndpointsName,
  parseGrpcEndpointsName,
} from '@waymark/sidecar-config/envoy/grpc-endpoints.ts'
import { buildGrpcRoutes } from '@waymark/sidecar-config/envoy/grpc-routes.ts'
import {
  packCluster,
  packEndpoints,
  packListener,
  packRoutes,
  type PackedResource,
} from '@waymark/sidecar-config/envoy/resource.ts'
import { clusterPolicyOf, routePolicyOf } from '@waymark/sidecar-config/model/traffic-settings.ts'
import { isServiceName } from '../domain/service-name.ts'
import type { FollowedMesh } from '../mesh/mesh-state.ts'
import type { XdsResource } from '../xds/port.ts'
import { serviceOfListener } from './api-listener-name.ts'
import { parseBoundAddress } from './bound-address.ts'
import { BoundedMap } from './bounded-map.ts'
import { asResource } from './built.ts'
import { endpointsOf } from './instance-endpoints.ts'
import type { Policies, PolicyScope } from './policies.ts'
import { Variants } from './variants.ts'

interface Entry {
  readonly routes: Variants
  readonly clusters: Variants
  /** By weighting. */
  readonly endpoints: Variants
}

/** Above them the oldest are forgotten; asked for again, they are built again, with the same bytes. */
const limits = { listeners: 20_000, services: 20_000 }

/**
 * What gRPC programs without a sidecar get of each service. Whatever can be the name of a service has all of it, if need
 * be with no endpoints: calls to what does not exist fail at once and pass when it appears. To take a listener
 * away would make them wait 15 s, and @grpc/grpc-js-xds 1.14 would not notice its return.
 *
 * Unlike a sidecar's resources none says what it depends on: gRPC asks for each step after it has the one
 * before, and uses a new configuration when all of it is there.
 */
export class ProxylessResources {
  readonly #mesh: FollowedMesh
  readonly #policies: Policies
  /** Only of services that somebody has asked for. */
  readonly #entries = new BoundedMap<Entry>(limits.services)
  /** They never change. */
  readonly #listeners = new BoundedMap<XdsResource>(limits.listeners)

  constructor(options: { readonly mesh: FollowedMesh; readonly policies: Policies }) {
    this.#mesh = options.mesh
    this.#policies = options.policies
  }

  listener(name: string): XdsResource | undefined {
    const known = this.#listeners.get(name)
    if (known !== undefined) return known
    const packed = name.startsWith(grpcServerPrefix) ? packServerListener(name) : packClientListener(name)
    return packed && this.#listeners.set(name, this.#asResource(packed, undefined))
  }

  routes(service: string, caller: string): XdsResource | undefined {
    const variant = this.#policies.variantOf(service, caller)
    return this.#entry(service)?.routes.get(variant, before => {
      const policy = routePolicyOf(this.#policies.settings(service, variant))
      return this.#asResource(packRoutes(buildGrpcRoutes({ service, policy })), before)
    })
  }

  cluster(service: string, caller: string): XdsResource | undefined {
    const variant = this.#policies.variantOf(service, caller)
    return this.#entry(service)?.clusters.get(variant, before => {
      const policy = clusterPolicyOf(this.#policies.settings(service, variant))
      return this.#asResource(packCluster(buildGrpcCluster({ service, policy })), before)
    })
  }

  /** The same for all callers: of several panic thresholds the one for no caller in particular holds. */
  endpoints(name: string): XdsResource | undefined {
    const { service, weighting } = parseGrpcEndpointsName(name)
    return this.#entry(service)?.endpoints.get(weighting, before => {
      const { panicThreshold } = this.#policies.settings(service, '')
      const state = this.#mesh.service(service)
      const endpoints = state === undefined ? [] : endpointsOf(state)
      const built = buildGrpcEndpoints({ service, endpoints, weighting, panicThreshold })
      return this.#asResource(packEndpoints(built), before)
    })
  }

  /** Instances of the service have changed. Returns the names of the endpoints that this may touch. */
  touchEndpoints(service: string): readonly string[] {
    this.#entries.get(service)?.endpoints.touch(null, () => true)
    return [grpcEndpointsName(service, 'locality'), grpcEndpointsName(service, 'endpoint')]
  }

  /** A policy for these calls has changed. */
  touchShape({ destination, caller }: PolicyScope): void {
    const entry = this.#entries.get(destination)
    const exists = (variant: string): boolean => this.#policies.variantOf(destination, variant) === variant
    entry?.routes.touch(caller, exists)
    entry?.clusters.touch(caller, exists)
  }

  /** undefined: no service can have this name. */
  #entry(service: string): Entry | undefined {
    const known = this.#entries.get(service)
    if (known !== undefined || !isServiceName(service)) return known
    return this.#entries.set(service, {
      routes: new Variants(),
      clusters: new Variants(),
      endpoints: new Variants(),
    })
  }

  #asResource(packed: PackedResource, before: XdsResource | undefined): XdsResource {
    return asResource({ packed, revision: this.#mesh.revision, before })
  }
}

const packClientListener = (name: string): PackedResource | undefined => {
  const service = serviceOfListener(name)
  return service === undefined ? undefined : packListener(buildApiListener({ name, service }))
}

const packServerListener = (name: string): PackedResource | undefined => {
  const bound = parseBoundAddress(name.slice(grpcServerPrefix.length))
  if (bound === undefined) return undefined
  const packed = packListener(buildGrpcServerListener(bound))
  // Another way to write the same address is another name.
  return packed.name === name ? packed : undefined
}
