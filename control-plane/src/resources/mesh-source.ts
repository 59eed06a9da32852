import { buildOtlpCluster, type OtlpTarget } from '@waymark/sidecar-config/envoy/otlp.ts'
import { packCluster } from '@waymark/sidecar-config/envoy/resource.ts'
import type { Change } from '../domain/change.ts'
import { instanceKey } from '../domain/instance.ts'
import type { Revision } from '../domain/revision.ts'
import type { FollowedMesh, MeshDelta } from '../mesh/mesh-state.ts'
import { SmallSet } from '../runtime/small-set.ts'
import {
  XdsRefusedError,
  type XdsNode,
  type XdsPeer,
  type XdsResource,
  type XdsSource,
  type XdsView,
} from '../xds/port.ts'
import { asResource } from './built.ts'
import { CallScopes } from './call-scopes.ts'
import { LiveSet } from './live-set.ts'
import { OwnResources } from './own-resources.ts'
import { Policies, type PolicyScope } from './policies.ts'
import { isProxyless } from './proxyless-node.ts'
import { ProxylessViews } from './proxyless-views.ts'
import { routeConfiguration } from './route-configuration.ts'
import { ServiceResources } from './service-resources.ts'
import { SharedView } from './shared-view.ts'
import { parseSidecarNode, type SidecarNode } from './sidecar-node.ts'
import { SidecarView } from './sidecar-view.ts'

export interface MeshSourceOptions {
  readonly mesh: FollowedMesh
  /** null: sidecars do not trace. */
  readonly tracing: { readonly target: OtlpTarget; readonly samplePercent: number } | null
  /** Hosts that are no service for which a sidecar on demand may ask before it gets every service. */
  readonly unknownLimit?: number
  /** A sidecar of this service went beyond that. */
  readonly onUnknownLimit?: (service: string) => void
}

/** What a step of the feed means for resources. */
interface Touched {
  /** Services whose instances have changed. */
  readonly endpoints: ReadonlySet<string>
  /** Calls to services that came, went, or whose document or policies have changed. */
  readonly shapes: Iterable<PolicyScope>
  /** Instances whose own sidecar may look different. */
  readonly instances: ReadonlySet<string>
}

/**
 * The mesh as xDS resources: says which resources a change touches, and tells the sets that
 * hold it. Sets may be told of a resource that turns out to be the same; whoever sends it compares. Cost follows
 * the change: its service, and the sidecars that call it.
 */
export class MeshSource implements XdsSource {
  readonly #mesh: FollowedMesh
  readonly #tracing: MeshSourceOptions['tracing']
  readonly #policies = new Policies()
  readonly #services: ServiceResources
  readonly #scopes: CallScopes
  /** Of every service, for all sidecars. */
  readonly #endpoints: LiveSet
  /** Constant: what changes are virtual hosts. */
  readonly #routes = new LiveSet({ get: routeConfiguration })
  /** By the key of the instance that the sidecar fronts. */
  readonly #views = new Map<string, SmallSet<SharedView>>()
  readonly #own = new OwnResources()
  readonly #proxyless: ProxylessViews
  readonly #listeners = new Set<(revision: Revision, committedAt?: number) => void>()
  readonly #otlp: XdsResource | null
  readonly #ready: Promise<void>

  constructor({ mesh, tracing, unknownLimit = 1_000, onUnknownLimit = () => undefined }: MeshSourceOptions) {
    this.#mesh = mesh
    this.#tracing = tracing
    this.#services = new ServiceResources({ mesh, policies: this.#policies })
    this.#scopes = new CallScopes({
      services: this.#services,
      revision: () => mesh.revision,
      unknownLimit,
      onUnknownLimit,
    })
    this.#proxyless = new ProxylessViews({ mesh, policies: this.#policies })
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

  onRevision(listener: (revision: Revision, committedAt?: number) => void): () => void {
    this.#listeners.add(listener)
    return () => {
      this.#listeners.delete(listener)
    }
  }

  open(xdsNode: XdsNode, { stream }: Pick<XdsPeer, 'stream'> = {}): XdsView {
    if (isProxyless(xdsNode)) return this.#proxyless.open(xdsNode)
    // Else it would refuse its routes, report ready, and answer 404 to everything.
    if (stream !== undefined && (stream.form !== 'delta' || !stream.aggregated)) {
      throw new XdsRefusedError(
        3,
        'a sidecar must use delta ADS (api_type: DELTA_GRPC), as Envoy wants for VHDS',
      )
    }
    const node = parseSidecarNode(xdsNode)
    const shared = this.#shared(node)
    shared.users += 1
    return {
      set: typeUrl => shared.set(typeUrl),
      close: () => {
        shared.users -= 1
        if (shared.users === 0) this.#forget(shared)
      },
    }
  }

  /** Streams of the same sidecar (an old one and its successor) see the same sets. */
  #shared(node: SidecarNode): SharedView {
    const instance = instanceKey(node.service, node.instance)
    const views = this.#views.get(instance)
    for (const shared of views ?? []) if (shared.isOf(node)) return shared
    const scope = this.#scopes.open(node)
    const view = new SidecarView({
      node,
      mesh: this.#mesh,
      services: this.#services,
      scope,
      own: this.#own,
      tracing: this.#tracing,
      otlp: this.#otlp,
    })
    const shared = new SharedView({ view, scope, endpoints: this.#endpoints, routes: this.#routes })
    scope.join(view.clusters)
    if (views !== undefined) views.add(shared)
    else {
      const first = new SmallSet<SharedView>()
      first.add(shared)
      this.#views.set(instance, first)
    }
    return shared
  }

  /** Its last stream has ended. */
  #forget(shared: SharedView): void {
    const { view, scope } = shared
    const { node } = view
    scope.leave(view.clusters)
    this.#scopes.close(node, scope)
    const instance = instanceKey(node.service, node.instance)
    const views = this.#views.get(instance)
    views?.delete(shared)
    if (views?.size === 0) this.#views.delete(instance)
  }

  #follow(delta: MeshDelta): void {
    const touched = delta.resynchronised ? this.#reload() : this.#read(delta)
    this.#tell(touched, delta.revision)
    const committedAt = committedAtOf(delta)
    for (const listener of this.#listeners) listener(delta.revision, committedAt)
  }

  /** Looks at everything anew after a snapshot; what has not changed stays the same object. */
  #reload(): Touched {
    this.#policies.clear()
    for (const document of this.#mesh.documents('TrafficPolicy')) this.#policies.update(null, document)
    const all = new Set([...this.#services.names(), ...this.#mesh.serviceNames()])
    const shapes = [...all].map(destination => ({ destination, caller: null }))
    for (const service of all) this.#services.touch(service)
    for (const shape of shapes) this.#services.touchShape(shape)
    return { endpoints: all, shapes, instances: new Set(this.#views.keys()) }
  }

  #read(delta: MeshDelta): Touched {
    const endpoints = new Set<string>()
    const shapes: PolicyScope[] = []
    const instances = new Set<string>()
    for (const change of delta.sets.flatMap(set => set.changes)) {
      if (change.aggregateType === 'instance') this.#readInstance(change, { endpoints, instances })
      else this.#readDocument(change, { endpoints, shapes, instances })
    }
    for (const service of endpoints) {
      const known = this.#services.has(service)
      this.#services.touch(service)
      if (this.#services.has(service) !== known) shapes.push({ destination: service, caller: null })
    }
    for (const shape of shapes) this.#services.touchShape(shape)
    return { endpoints, shapes, instances }
  }

  #readInstance(change: Change, to: { endpoints: Set<string>; instances: Set<string> }): void {
    to.endpoints.add(change.aggregateId.slice(0, change.aggregateId.indexOf('/')))
    to.instances.add(change.aggregateId)
  }

  #readDocument(
    change: Change & { readonly aggregateType: 'document' },
    to: { endpoints: Set<string>; shapes: PolicyScope[]; instances: Set<string> },
  ): void {
    const kind = (change.after ?? change.before)?.kind
    const name = (change.after ?? change.before)?.name
    if (name === undefined) return
    if (kind === 'Service') {
      to.endpoints.add(name)
      to.shapes.push({ destination: name, caller: null })
      for (const id of this.#mesh.service(name)?.instances.keys() ?? [])
        to.instances.add(instanceKey(name, id))
    } else if (kind === 'TrafficPolicy') {
      to.shapes.push(...this.#policies.update(change.before, change.after))
    }
  }

  #tell({ endpoints, shapes, instances }: Touched, revision: Revision): void {
    this.#proxyless.tell({ endpoints, shapes }, revision)
    for (const instance of instances) {
      for (const { view } of this.#views.get(instance) ?? []) {
        const changed = view.refresh(revision)
        if (changed.clusters.length > 0) view.clusters.notify({ revision, names: changed.clusters })
        if (changed.listeners.length > 0) view.listeners.notify({ revision, names: changed.listeners })
      }
    }
    this.#scopes.tell(shapes, revision)
    if (endpoints.size > 0) this.#endpoints.notify({ revision, names: [...endpoints] })
  }
}

/** Of the oldest change, by Postgres's clock. */
const committedAtOf = ({ sets }: MeshDelta): number | undefined => {
  const at = sets[0]?.changes[0]?.occurredAt
  return at === undefined ? undefined : Date.parse(at)
}
