import type { MeshView } from '../mesh/mesh-view.ts'
import { StandingMesh } from '../mesh/standing-mesh.ts'
import type { XdsNode, XdsResource } from '../xds/port.ts'
import { clusterType, endpointType, listenerType, routeType, virtualHostType } from '../xds/type-urls.ts'
import { MeshSource, type MeshSourceOptions } from './mesh-source.ts'

export interface PastConfigurationOptions {
  /** What the sidecar says of itself today. */
  readonly node: XdsNode
  /** What it has asked for or has today: what it could ask for then, besides what it gets unasked. */
  readonly held: readonly { readonly typeUrl: string; readonly name: string }[]
  readonly tracing: MeshSourceOptions['tracing']
  /** Calls `work` with the state of the past, in one turn of the event loop. */
  readonly read: <T>(work: (mesh: MeshView) => T) => Promise<T>
  /** Lets the event loop turn. */
  readonly breathe: () => Promise<void>
}

export interface PastResource {
  readonly typeUrl: string
  readonly resource: XdsResource
}

/** Resources that are built before the event loop gets its turn. */
const sliceResources = 50

/** In an order in which each type follows those that name its resources. */
const types = [listenerType, routeType, virtualHostType, clusterType, endpointType]

/**
 * The resources that a sidecar of this node would have got from the mesh as it was, built as they are built today.
 * Secrets are no part of it: the log has none. Rejects with what `read` rejects with.
 */
export const pastConfiguration = async (options: PastConfigurationOptions): Promise<PastResource[]> => {
  const { node, held, tracing, read, breathe } = options
  const { standing, view } = await read(mesh => {
    const first = new StandingMesh(mesh)
    return { standing: first, view: new MeshSource({ mesh: first, tracing }).open(node) }
  })
  const at = <T>(work: () => T): Promise<T> =>
    read(mesh => {
      standing.show(mesh)
      return work()
    })
  const found: PastResource[] = []
  const named = new Map<string, Set<string>>(types.map(typeUrl => [typeUrl, new Set()]))
  for (const { typeUrl, name } of held) named.get(typeUrl)?.add(name)
  for (const typeUrl of types) {
    const set = view.set(typeUrl)
    if (set === undefined) continue
    const wanted = [...(named.get(typeUrl) ?? [])]
    const names = await at(() => {
      set.asked?.(wanted)
      return [...new Set([...set.names(), ...wanted])]
    })
    for (let from = 0; from < names.length; from += sliceResources) {
      await at(() => {
        for (const name of names.slice(from, from + sliceResources)) {
          const resource = set.get(name)
          if (resource === undefined || resource.body === null) continue
          found.push({ typeUrl, resource })
          for (const other of resource.dependsOn ?? []) named.get(other.typeUrl)?.add(other.name)
        }
      })
      await breathe()
    }
  }
  view.close()
  return found
}
