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
import { meshDomain } from '@waymark/sidecar-config/envoy/names.ts'
import {
  packCluster,
  packEndpoints,
  packListener,
  packRoutes,
} from '@waymark/sidecar-config/envoy/resource.ts'
import { clusterPolicyOf, routePolicyOf } from '@waymark/sidecar-config/model/traffic-settings.ts'
import type { MeshState } from '../mesh/mesh-state.ts'
import type { XdsResource } from '../xds/port.ts'
import { asResource } from './built.ts'
import { endpointsOf } from './instance-endpoints.ts'
import { parseBoundAddress } from './bound-address.ts'
import type { Policies, PolicyScope } from './policies.ts'
import { Variants } from './variants.ts'

const suffix = `.${meshDomain}`

/** The names under which a client may ask for the API listener of a service: as in `xds:///payments`. */
export const listenerNames = (service: string): readonly string[] => [service, `${service}${suffix}`]

const serviceOf = (listener: string): string =>
  listener.endsWith(suffix) ? listener.slice(0, -suffix.length) : listener

interface Entry {
  /** By name: the listener does not depend on anything but that the service exists. */
  readonly listeners: Map<string, XdsResource>
  readonly routes: Variants
  readonly clusters: Variants
  /** By name. */
  readonly endpoints: Variants
}

/**
 * What gRPC clients without a sidecar get of each service. Nothing is built, and nothing kept, for a service that none
 * of them asks for. Unlike a sidecar's resources none says what it depends on: gRPC asks for each step
 * after it has the one before, and uses a new configuration when all of it is there.
 */
export class ProxylessResources {
  readonly #mesh: MeshState
  readonly #policies: Policies
  readonly #entries = new Map<string, Entry>()
  /** Listeners of gRPC servers, which know nothing but an address. */
  readonly #servers = new Map<string, XdsResource>()

  constructor(options: { readonly mesh: MeshState; readonly policies: Policies }) {
    this.#mesh = options.mesh
    this.#policies = options.policies
  }

  listener(name: string): XdsResource | undefined {
    if (name.startsWith(grpcServerPrefix)) return this.#server(name)
    const service = serviceOf(name)
    const listeners = this.#entry(service)?.listeners
    const known = listeners?.get(name)
    if (listeners === undefined || known !== undefined) return known
    const packed = packListener(buildApiListener({ name, service }))
    const listener = asResource({ packed, revision: this.#mesh.revision, before: undefined })
    listeners.set(name, listener)
    return listener
  }

  routes(service: string, caller: string): XdsResource | undefined {
    const variant = this.#policies.variantOf(service, caller)
    return this.#entry(service)?.routes.get(variant, before => {
      const policy = routePolicyOf(this.#policies.settings(service, variant))
      const packed = packRoutes(buildGrpcRoutes({ service, policy }))
      return asResource({ packed, revision: this.#mesh.revision, before })
    })
  }

  cluster(service: string, caller: string): XdsResource | undefined {
    const variant = this.#policies.variantOf(service, caller)
    return this.#entry(service)?.clusters.get(variant, before => {
      const policy = clusterPolicyOf(this.#policies.settings(service, variant))
      const packed = packCluster(buildGrpcCluster({ service, policy }))
      return asResource({ packed, revision: this.#mesh.revision, before })
    })
  }

  /** The same for all callers: of several panic thresholds the one for no caller in particular holds. */
  endpoints(name: string): XdsResource | undefined {
    const { service, weighting } = parseGrpcEndpointsName(name)
    const state = this.#mesh.service(service)
    if (state === undefined) return undefined
    return this.#entry(service)?.endpoints.get(weighting, before => {
      const { panicThreshold } = this.#policies.settings(service, '')
      const endpoints = endpointsOf(state)
      const packed = packEndpoints(buildGrpcEndpoints({ service, endpoints, weighting, panicThreshold }))
      return asResource({ packed, revision: this.#mesh.revision, before })
    })
  }

  /** Instances of the service have changed. Returns the names of the endpoints that this may touch. */
  touchEndpoints(service: string): readonly string[] {
    this.#entries.get(service)?.endpoints.touch(null, () => true)
    return [grpcEndpointsName(service, 'locality'), grpcEndpointsName(service, 'endpoint')]
  }

  /** The service has come or gone, or a policy for these calls has changed. */
  touchShape({ destination, caller }: PolicyScope): void {
    const entry = this.#entries.get(destination)
    if (this.#mesh.service(destination) === undefined) this.#entries.delete(destination)
    const exists = (variant: string): boolean => this.#policies.variantOf(destination, variant) === variant
    entry?.routes.touch(caller, exists)
    entry?.clusters.touch(caller, exists)
  }

  /** undefined: there is no such service. */
  #entry(service: string): Entry | undefined {
    const known = this.#entries.get(service)
    if (known !== undefined || this.#mesh.service(service) === undefined) return known
    const entry: Entry = {
      listeners: new Map(),
      routes: new Variants(),
      clusters: new Variants(),
      endpoints: new Variants(),
    }
    this.#entries.set(service, entry)
    return entry
  }

  #server(name: string): XdsResource | undefined {
    const known = this.#servers.get(name)
    if (known !== undefined) return known
    const bound = parseBoundAddress(name.slice(grpcServerPrefix.length))
    if (bound === undefined) return undefined
    const packed = packListener(buildGrpcServerListener(bound))
    // Another way to write the same address is another name.
    if (packed.name !== name) return undefined
    if (this.#servers.size >= serverLimit) this.#servers.clear()
    const listener = asResource({ packed, revision: this.#mesh.revision, before: undefined })
    this.#servers.set(name, listener)
    return listener
  }
}

/** Listeners of servers kept; above it they are made anew, with the same bytes. */
const serverLimit = 10_000
