import { hostPort } from '@waymark/sidecar-config/model/host-port.ts'
import { passiveHealthOf, type PassiveHealth } from '@waymark/sidecar-config/model/passive-health.ts'
import type { ServiceSpec } from '@waymark/sidecar-config/model/service.ts'
import type { Document } from '../../domain/document.ts'
import type { Instance } from '../../domain/instance.ts'
import type { Clock } from '../../runtime/clock.ts'
import { ServiceWindows } from './service-windows.ts'
import { tallyService, type InstanceTally } from './tally.ts'

/** Requests to one endpoint since the report before: xds/load-reports/load-report.ts. */
interface EndpointCounts {
  readonly address: string
  readonly succeeded: number
  readonly failed: number
}

/** What a sidecar reports: xds/load-reports/load-report.ts. */
export interface TrafficReport {
  readonly clusters: readonly {
    readonly cluster: string
    readonly failed: number
    readonly endpoints: readonly EndpointCounts[]
  }[]
}

/** The reports so far: xds/load-reports/load-book.ts. */
export interface ReportedLoads {
  clusters(): Iterable<string>
  ofCluster(cluster: string): Iterable<{
    readonly reporter: { readonly reporter: { readonly id: string } }
    endpoints(): Iterable<{
      readonly address: string
      /** Milliseconds since the epoch. */
      readonly at: number
      readonly last: { readonly succeeded: number; readonly failed: number }
    }>
  }>
}

/** The part of mesh/mesh-state.ts that says who is behind an address, and what holds for a service. */
export interface TrafficMesh {
  service(
    name: string,
  ):
    { readonly instances: ReadonlyMap<string, Instance>; readonly document: Document | undefined } | undefined
}

export interface TrafficBookOptions {
  readonly mesh: TrafficMesh
  readonly loads: ReportedLoads
  readonly clock: Pick<Clock, 'now' | 'monotonic'>
  /** Windows that are kept of one service, and of all together. */
  readonly maxEntriesOfService?: number
  readonly maxEntries?: number
}

/** A service without failures for so many half-lives is not watched any more. */
const calmHalfLives = 8

/** A cluster is called like its service, a subset's cluster `{service}/{subset}`. */
const serviceOf = (cluster: string): string => cluster.split('/', 1)[0] ?? cluster

const countsOf = ({ address, succeeded, failed }: EndpointCounts) => ({ address, ok: succeeded, failed })

export const settingsOf = (mesh: TrafficMesh, service: string): PassiveHealth =>
  // Documents were validated before they were written.
  passiveHealthOf((mesh.service(service)?.document?.spec as ServiceSpec | undefined)?.passiveHealth)

/** Where callers reach an instance. */
const addressOf = ({ spec }: Instance): string =>
  hostPort({ host: spec.address, port: spec.sidecar?.port ?? spec.port })

/**
 * What the sidecars of this replica have lately seen of services that fail somewhere. A service is watched from the
 * first failure on, or as long as somebody asks for it; of all others nothing is kept, so it costs what errs.
 */
export class TrafficBook {
  readonly #options: TrafficBookOptions
  readonly #maxEntriesOfService: number
  readonly #maxEntries: number
  readonly #services = new Map<string, ServiceWindows>()
  /** Services in which some sidecar may speak against an instance. */
  readonly #suspected = new Set<string>()
  readonly #total = { entries: 0 }
  #evicted = 0

  constructor(options: TrafficBookOptions) {
    this.#options = options
    this.#maxEntriesOfService = options.maxEntriesOfService ?? 50_000
    this.#maxEntries = options.maxEntries ?? 500_000
  }

  get size(): { readonly services: number; readonly entries: number; readonly evicted: number } {
    return { services: this.#services.size, entries: this.#total.entries, evicted: this.#evicted }
  }

  /** Services in which some sidecar may speak against an instance since it was last asked. */
  takeSuspected(): string[] {
    const suspected = [...this.#suspected]
    this.#suspected.clear()
    return suspected
  }

  /** Takes one report down. Costs nothing but a look where nothing failed. */
  take(reporter: string, report: TrafficReport): void {
    for (const { cluster, failed, endpoints } of report.clusters) {
      const service = serviceOf(cluster)
      const known = this.#services.get(service)
      if (known === undefined && failed === 0) continue
      const settings = this.#settings(service)
      if (settings === null) continue
      const windows = known ?? this.#watch(service, reporter, settings)
      const at = { now: this.#options.clock.monotonic(), halfLifeMs: settings.windowMs }
      windows.add(reporter, endpoints.map(countsOf), at)
      const suspects = endpoints.some(
        ({ address, failed: some }) =>
          some > 0 && windows.suspects(reporter, address, settings.failurePercent),
      )
      if (suspects) this.#suspected.add(service)
      this.#bound(windows)
    }
  }

  /**
   * What this replica's sidecars have seen of a service: of the instances that one of them speaks against, and of
   * those that are `wanted`. Watches the service from now on if somebody wants it.
   */
  tally(service: string, wanted: ReadonlySet<string>): ReadonlyMap<string, InstanceTally> {
    const settings = this.#settings(service)
    if (settings === null) {
      this.#drop(service)
      return new Map()
    }
    const known = this.#services.get(service)
    const windows = known ?? (wanted.size > 0 ? this.#watch(service, null, settings) : undefined)
    if (windows === undefined) return new Map()
    const { mesh, clock } = this.#options
    const ids = new Map<string, string>()
    for (const instance of mesh.service(service)?.instances.values() ?? []) {
      ids.set(addressOf(instance), instance.id)
    }
    const at = { now: clock.monotonic(), halfLifeMs: settings.windowMs }
    const views = windows.views(at, address => ids.get(address))
    if (wanted.size > 0) windows.activeAt = at.now
    return tallyService({ views, failurePercent: settings.failurePercent, wanted })
  }

  /** Forgets what was seen of an instance: it is another now, or its state is. */
  forget(instance: Instance): void {
    this.#services.get(instance.service)?.forget(addressOf(instance))
  }

  /** Ends the watch of services that have been calm for long. */
  prune(): void {
    const now = this.#options.clock.monotonic()
    for (const [service, { activeAt }] of this.#services) {
      const settings = this.#settings(service)
      if (settings === null || now - activeAt > calmHalfLives * settings.windowMs) this.#drop(service)
    }
  }

  /** null: the service is unknown or wants none of it. */
  #settings(service: string): PassiveHealth | null {
    const { mesh } = this.#options
    if (mesh.service(service) === undefined) return null
    const settings = settingsOf(mesh, service)
    return settings.enabled ? settings : null
  }

  /** Begins with what each sidecar has last reported, except the one whose report is being taken. */
  #watch(service: string, except: string | null, { windowMs }: PassiveHealth): ServiceWindows {
    const { loads, clock } = this.#options
    const windows = new ServiceWindows(this.#total)
    this.#services.set(service, windows)
    const [now, wall] = [clock.monotonic(), clock.now()]
    for (const cluster of loads.clusters()) {
      if (serviceOf(cluster) !== service) continue
      for (const load of loads.ofCluster(cluster)) {
        const { id } = load.reporter.reporter
        if (id === except) continue
        for (const { address, at, last } of load.endpoints()) {
          const counts = { address, ok: last.succeeded, failed: last.failed }
          windows.add(id, [counts], { now: now - Math.max(0, wall - at), halfLifeMs: windowMs })
        }
        this.#bound(windows)
      }
    }
    return windows
  }

  #bound(windows: ServiceWindows): void {
    while (windows.entries > this.#maxEntriesOfService && windows.evict()) this.#evicted += 1
    while (this.#total.entries > this.#maxEntries) this.#evictService()
  }

  /** Whoever has been calm for longest is let go. */
  #evictService(): void {
    let [oldest, since] = ['', Infinity]
    for (const [service, { activeAt, entries }] of this.#services) {
      if (entries > 0 && activeAt < since) [oldest, since] = [service, activeAt]
    }
    this.#drop(oldest)
    this.#evicted += 1
  }

  #drop(service: string): void {
    this.#services.get(service)?.clear()
    this.#services.delete(service)
  }
}
