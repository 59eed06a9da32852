import { buildOtlpCluster, type OtlpTarget } from '@waymark/sidecar-config/envoy/otlp.ts'
import { packCluster } from '@waymark/sidecar-config/envoy/resource.ts'
import { outboundRoutes } from '@waymark/sidecar-config/envoy/names.ts'
import type { Change } from '../domain/change.ts'
import { instanceKey } from '../domain/instance.ts'
import type { Revision } from '../domain/revision.ts'
import type { MeshDelta, MeshState } from '../mesh/mesh-state.ts'
import type { XdsNode, XdsResource, XdsSource, XdsView } from '../xds/port.ts'
import { clusterType, endpointType, listenerType, routeType } from '../xds/type-urls.ts'
import { asResource } from './built.ts'
import { LiveSet } from './live-set.ts'
import { Policies } from './policies.ts'
import { RouteResources } from './route-resources.ts'
import { ServiceResources } from './service-resources.ts'
import { parseSidecarNode, type SidecarNode } from './sidecar-node.ts'
import { SidecarView } from './sidecar-view.ts'
import { ViewIndex } from './view-index.ts'

export interface MeshSourceOptions {
  readonly mesh: MeshState
  /** null: sidecars do not trace. */
  readonly tracing: { readonly target: OtlpTarget; readonly samplePercent: number } | null
}

/** What the streams of one sidecar have in common. */
interface SharedView {
  users: number
  readonly sets: ReadonlyMap<string, LiveSet>
  readonly close: () => void
}

/** What a step of the feed means for resources. */
interface Touched {
  /** Services whose instances have changed. */
  readonly endpoints: ReadonlySet<string>
  /** Services that came, went, or whose document or policies have changed. */
  readonly shapes: ReadonlySet<string>
  /** Instances whose own sidecar may look different. */
  readonly instances: ReadonlySet<string>
}

/**
 * The mesh as xDS resources: says which resources a change touches, and tells the sets that
 * hold it. Sets may be told of a resource that turns out to be the same; whoever sends it compares. Cost follows
 * the change: its service, and the sidecars that call it.
 */
export class MeshSource implements XdsSource {
  readonly #mesh: MeshState
  readonly #tracing: MeshSourceOptions['tracing']
  readonly #policies = new Policies()
  readonly #services: ServiceResources
  readonly #routes: RouteResources
  /** Of every service, for all sidecars. */
  readonly #endpoints: LiveSet
  readonly #views = new ViewIndex<{ readonly view: SidecarView; readonly routes: LiveSet }>()
  readonly #shared = new Map<string, SharedView>()
  readonly #listeners = new Set<(revision: Revision) => void>()
  readonly #otlp: XdsResource | null
  readonly #ready: Promise<void>

  constructor({ mesh, tracing }: MeshSourceOptions) {
    this.#mesh = mesh
    this.#tracing = tracing
    this.#services = new ServiceResources({ mesh, policies: this.#policies })
    this.#routes = new RouteResources({ services: this.#services, policies: this.#policies })
    this.#endpoints = new LiveSet({ get: name => this.#services.endpoints(name) })
    this.#otlp =
      tracing === null
        ? null
        : asResource({
            packed: packCluster(buildOtlpCluster(tracing.target)),
            revision: 0,
            before: undefined,
          })
    this.#ready = new Promise(resolve => {
      if (mesh.loaded) {
        this.#reload()
        resolve()
      }
      mesh.onDelta(delta => {
        this.#follow(delta)
        resolve()
      })
    })
  }

  ready(): Promise<void> {
    return this.#ready
  }

  revision(): Revision {
    return this.#mesh.revision
  }

  onRevision(listener: (revision: Revision) => void): () => void {
    this.#listeners.add(listener)
    return () => {
      this.#listeners.delete(listener)
    }
  }

  open(xdsNode: XdsNode): XdsView {
    const node = parseSidecarNode(xdsNode)
    const key = JSON.stringify(node)
    const shared = this.#shared.get(key) ?? this.#openShared(key, node)
    shared.users += 1
    return {
      set: typeUrl => shared.sets.get(typeUrl),
      close: () => {
        shared.users -= 1
        if (shared.users === 0) shared.close()
      },
    }
  }

  /** Streams of the same sidecar (an old one and its successor) see the same sets. */
  #openShared(key: string, node: SidecarNode): SharedView {
    const view = new SidecarView({
      node,
      mesh: this.#mesh,
      services: this.#services,
      policies: this.#policies,
      tracing: this.#tracing,
      otlp: this.#otlp,
    })
    const routes = new LiveSet({
      get: name => (name === outboundRoutes ? this.#routesOf(node) : undefined),
    })
    const forget = this.#views.add(
      { view, routes },
      { instance: instanceKey(node.service, node.instance), upstreams: node.upstreams },
    )
    const shared: SharedView = {
      users: 0,
      sets: new Map<string, LiveSet>([
        [clusterType, view.clusters],
        [endpointType, this.#endpoints],
        [listenerType, view.listeners],
        [routeType, routes],
      ]),
      close: () => {
        forget()
        this.#shared.delete(key)
      },
    }
    this.#shared.set(key, shared)
    return shared
  }

  #routesOf({ service, upstreams }: SidecarNode): XdsResource {
    return this.#routes.table({ upstreams, caller: this.#policies.variantOf(service) }, this.#mesh.revision)
  }

  #follow(delta: MeshDelta): void {
    const touched = delta.resynchronised ? this.#reload() : this.#read(delta)
    this.#tell(touched, delta.revision)
    for (const listener of this.#listeners) listener(delta.revision)
  }

  /** Builds everything anew after a snapshot; what has not changed stays the same object. */
  #reload(): Touched {
    this.#policies.clear()
    for (const document of this.#mesh.documents('TrafficPolicy')) this.#policies.update(null, document)
    const all = new Set([...this.#services.names(), ...this.#mesh.serviceNames()])
    this.#routes.clear()
    for (const service of all) {
      this.#services.touch(service)
      this.#services.refreshClusters(service, this.#mesh.revision)
    }
    return { endpoints: all, shapes: all, instances: new Set(this.#views.instances()) }
  }

  #read(delta: MeshDelta): Touched {
    const endpoints = new Set<string>()
    const shapes = new Set<string>()
    const instances = new Set<string>()
    for (const change of delta.sets.flatMap(set => set.changes)) {
      if (change.aggregateType === 'instance') this.#readInstance(change, { endpoints, instances })
      else this.#readDocument(change, { endpoints, shapes, instances })
    }
    for (const service of endpoints) {
      const known = this.#services.has(service)
      this.#services.touch(service)
      if (this.#services.has(service) !== known) shapes.add(service)
    }
    for (const service of shapes) {
      this.#services.refreshClusters(service, delta.revision)
      this.#routes.invalidate(service)
    }
    return { endpoints, shapes, instances }
  }

  #readInstance(change: Change, to: { endpoints: Set<string>; instances: Set<string> }): void {
    to.endpoints.add(change.aggregateId.slice(0, change.aggregateId.indexOf('/')))
    to.instances.add(change.aggregateId)
  }

  #readDocument(
    change: Change & { readonly aggregateType: 'document' },
    to: { endpoints: Set<string>; shapes: Set<string>; instances: Set<string> },
  ): void {
    const kind = (change.after ?? change.before)?.kind
    const name = (change.after ?? change.before)?.name
    if (name === undefined) return
    if (kind === 'Service') {
      to.endpoints.add(name)
      to.shapes.add(name)
      for (const id of this.#mesh.service(name)?.instances.keys() ?? [])
        to.instances.add(instanceKey(name, id))
    } else if (kind === 'TrafficPolicy') {
      for (const destination of this.#policies.update(change.before, change.after)) to.shapes.add(destination)
    }
  }

  #tell({ endpoints, shapes, instances }: Touched, revision: Revision): void {
    for (const instance of instances) {
      for (const { view } of this.#views.ofInstance(instance)) {
        const changed = view.refresh(revision)
        if (changed.clusters.length > 0) view.clusters.notify({ revision, names: changed.clusters })
        if (changed.listeners.length > 0) view.listeners.notify({ revision, names: changed.listeners })
      }
    }
    for (const [{ view, routes }, names] of this.#views.calling(shapes)) {
      view.clusters.notify({ revision, names })
      routes.notify({ revision, names: [outboundRoutes] })
    }
    if (endpoints.size > 0) this.#endpoints.notify({ revision, names: [...endpoints] })
  }
}
