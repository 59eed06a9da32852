import type { Revision } from '../domain/revision.ts'
import { CallScope } from './call-scope.ts'
import type { PolicyScope } from './policies.ts'
import { ScopeIndex } from './scope-index.ts'
import type { ServiceResources } from './service-resources.ts'
import type { SidecarNode } from './sidecar-node.ts'

export interface CallScopesOptions {
  readonly services: ServiceResources
  readonly revision: () => Revision
  /** Hosts that are no service for which a sidecar on demand may ask before it gets every service. */
  readonly unknownLimit: number
  /** A sidecar on demand went beyond that. */
  readonly onUnknownLimit: (caller: string) => void
}

/** The scopes of the sidecars that are connected: one for all that call the same services as the same service. */
export class CallScopes {
  readonly #options: CallScopesOptions
  readonly #scopes = new Map<string, CallScope>()
  readonly #index = new ScopeIndex()

  constructor(options: CallScopesOptions) {
    this.#options = options
  }

  /** The scope of this sidecar. It lasts until `close` finds that no sidecar has joined it. */
  open(node: SidecarNode): CallScope {
    const key = keyOf(node)
    const known = this.#scopes.get(key)
    if (known !== undefined) return known
    const { services, unknownLimit, revision } = this.#options
    const { service, upstreams, onDemand } = node
    const scope = new CallScope({
      caller: service,
      upstreams: onDemand ? (upstreams ?? []) : upstreams,
      onDemand,
      services,
      unknownLimit,
      revision,
      onMore: (grown, more) => {
        this.#index.addUpstreams(grown, more)
        grown.tell(more, revision())
      },
      onAll: (grown, before) => {
        this.#index.remove(grown, before)
        this.#index.add(grown)
        this.#options.onUnknownLimit(service)
        grown.tellAll(revision())
      },
    })
    this.#scopes.set(key, scope)
    this.#index.add(scope)
    return scope
  }

  close(node: SidecarNode, scope: CallScope): void {
    if (!scope.isEmpty) return
    this.#scopes.delete(keyOf(node))
    this.#index.remove(scope, scope.upstreams)
  }

  /** What is served for these calls may have changed. */
  tell(calls: Iterable<PolicyScope>, revision: Revision): void {
    for (const [scope, services] of this.#index.calling(calls)) scope.tell([...services], revision)
  }
}

/**
 * What a sidecar asks for is its own: then it shares with no other. No name of a service or an instance has a space, a
 * comma or an asterisk.
 */
const keyOf = ({ service, instance, upstreams, onDemand }: SidecarNode): string =>
  `${service} ${onDemand ? instance : ''} ${upstreams?.join() ?? '*'}`
