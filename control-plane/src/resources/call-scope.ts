import { unknownHostName, virtualHostName } from '@waymark/sidecar-config/envoy/names.ts'
import { packVirtualHost } from '@waymark/sidecar-config/envoy/resource.ts'
import { buildMissingHost, buildUnknownHost } from '@waymark/sidecar-config/envoy/routes.ts'
import type { Revision } from '../domain/revision.ts'
import { SmallSet } from '../runtime/small-set.ts'
import type { ResourceRef, XdsResource } from '../xds/port.ts'
import { asResource } from './built.ts'
import { LiveSet } from './live-set.ts'
import type { ServiceResources } from './service-resources.ts'
import { nothingYet, serviceOfHost } from './virtual-host-names.ts'

export interface CallScopeOptions {
  /** The service that the sidecars front. */
  readonly caller: string
  /** What they get unasked; null: every service. */
  readonly upstreams: readonly string[] | null
  /** They get what they ask for besides. Then upstreams is not null, and one sidecar has a scope alone. */
  readonly onDemand: boolean
  readonly services: ServiceResources
  /** How many hosts that are no service may be asked for. */
  readonly unknownLimit: number
  readonly revision: () => Revision
  /** These services are called from now on. */
  readonly onMore: (scope: CallScope, services: readonly string[]) => void
  /** Every service is called from now on; before, these were. */
  readonly onAll: (scope: CallScope, before: Iterable<string>) => void
}

const unknownHost = asResource({
  packed: packVirtualHost(buildUnknownHost()),
  revision: 0,
  before: undefined,
})

/** The longest host that is kept to tell whether it was asked for before. */
const keptHostLength = 300

/**
 * What a group of sidecars calls, and the virtual hosts for it. The scope of a sidecar on demand begins with
 * nothing, or what the sidecar declares, and grows with what Envoy asks for. It grows without end if the application
 * calls random hosts: when these are too many, the sidecar gets every service and an answer for all other hosts,
 * as without "on demand". Then Envoy asks no more.
 */
export class CallScope {
  readonly caller: string
  readonly onDemand: boolean
  readonly virtualHosts: LiveSet
  readonly #options: CallScopeOptions
  /** null: every service. */
  #upstreams: Set<string> | null
  /** Hosts that are no service; undefined: none has been asked for. */
  #unknown: Set<string> | undefined
  readonly #clusterSets = new SmallSet<LiveSet>()

  constructor(options: CallScopeOptions) {
    this.#options = options
    this.caller = options.caller
    this.onDemand = options.onDemand
    this.#upstreams = options.upstreams === null ? null : new Set(options.upstreams)
    this.virtualHosts = new LiveSet({
      get: name => this.#host(name),
      wildcard: { names: () => this.#hostNames(), covers: name => this.#coversHost(name) },
      asked: names => {
        this.ask(names.map(name => [name, serviceOfHost(name)]))
      },
    })
  }

  /** null: every service. */
  get upstreams(): ReadonlySet<string> | null {
    return this.#upstreams
  }

  /** Whether the service exists and is one that the sidecars call. */
  calls(service: string): boolean {
    return this.#wants(service) && this.#options.services.has(service)
  }

  /** The services that exist and that the sidecars call. */
  *services(): Generator<string> {
    const { services } = this.#options
    for (const name of this.#upstreams ?? services.names()) if (services.has(name)) yield name
  }

  /** Envoy asks for these names, each with the service that it stands for. */
  ask(names: readonly (readonly [name: string, service: string | undefined])[]): void {
    if (!this.onDemand || this.#upstreams === null) return
    const { services, unknownLimit, onMore, onAll } = this.#options
    const more: string[] = []
    for (const [name, service] of names) {
      if (service === undefined || !services.has(service))
        (this.#unknown ??= new Set()).add(name.slice(0, keptHostLength))
      if (service === undefined || this.#upstreams.has(service)) continue
      this.#upstreams.add(service)
      more.push(service)
    }
    if (this.#unknown !== undefined && this.#unknown.size > unknownLimit) {
      const before = this.#upstreams
      this.#upstreams = null
      this.#unknown = undefined
      onAll(this, before)
    } else if (more.length > 0) onMore(this, more)
  }

  /** The clusters of a sidecar that belongs to it. */
  join(clusters: LiveSet): void {
    this.#clusterSets.add(clusters)
  }

  leave(clusters: LiveSet): void {
    this.#clusterSets.delete(clusters)
  }

  get isEmpty(): boolean {
    return this.#clusterSets.size === 0
  }

  /** The clusters and virtual hosts of these services may have come, gone or changed. */
  tell(services: readonly string[], revision: Revision): void {
    for (const clusters of this.#clusterSets) clusters.notify({ revision, names: services })
    this.virtualHosts.notify({ revision, names: services.map(virtualHostName) })
  }

  /** The scope has become one that calls every service. */
  tellAll(revision: Revision): void {
    this.tell([...this.services()], revision)
    this.virtualHosts.notify({ revision, names: [unknownHostName] })
  }

  #wants(service: string): boolean {
    return this.#upstreams?.has(service) ?? true
  }

  /** Envoy's own answer for hosts that are not asked for. */
  get #answersAll(): boolean {
    return !this.onDemand || this.#upstreams === null
  }

  *#hostNames(): Generator<string> {
    if (this.onDemand) yield nothingYet
    if (this.#answersAll) yield unknownHostName
    const names = this.#answersAll ? this.services() : (this.#upstreams ?? [])
    for (const name of names) yield virtualHostName(name)
  }

  #coversHost(name: string): boolean {
    if (name === nothingYet) return this.onDemand
    if (name === unknownHostName) return this.#answersAll
    const service = serviceOfHost(name)
    if (service === undefined || name !== virtualHostName(service)) return false
    return this.#answersAll ? this.calls(service) : this.#wants(service)
  }

  /**
   * Whatever is asked for by name gets an answer: a request waits for it in Envoy, which takes "removed" for none. A
   * host that could be a service's gets a virtual host, in which the service can appear later. The answer for
   * another name of it (with a port, with the domain of the mesh) is empty: the virtual host goes with it, and Envoy
   * looks again.
   */
  #host(name: string): XdsResource | undefined {
    if (name === unknownHostName && this.#answersAll) return unknownHost
    const service = serviceOfHost(name)
    const { services, revision } = this.#options
    if (service === undefined) return emptyAnswer(name, revision())
    const known = this.calls(service) ? services.virtualHost(service, this.caller) : undefined
    if (name !== virtualHostName(service)) return emptyAnswer(name, revision(), known?.dependsOn)
    return known ?? missingHost(service, revision())
  }
}

const emptyAnswer = (name: string, revision: Revision, dependsOn?: readonly ResourceRef[]): XdsResource => ({
  name,
  version: 'none',
  body: null,
  aliases: [name],
  revision,
  ...(dependsOn === undefined ? {} : { dependsOn }),
})

const missingHost = (service: string, revision: Revision): XdsResource =>
  asResource({ packed: packVirtualHost(buildMissingHost(service)), revision, before: undefined })
