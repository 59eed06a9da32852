import { instanceAt, ZipfUpstreams } from '../workload.ts'
import type { NodeContent } from './delta-request.ts'

/** Which sidecars there are: numbers `from` to `from + count - 1`. */
export interface SidecarPlan {
  readonly from: number
  readonly count: number
  /** A list; null: every service; else so many of the mesh's services, drawn after Zipf. */
  readonly upstreams: readonly string[] | null | { readonly services: number; readonly each: number }
  /** Sidecar n fronts the n-th instance of a mesh with so many services; absent: an instance that never registered. */
  readonly instancesOf?: number
}

const isChoice = (
  upstreams: SidecarPlan['upstreams'],
): upstreams is { readonly services: number; readonly each: number } =>
  upstreams !== null && 'services' in upstreams

export const nodesOf = function* ({
  from,
  count,
  upstreams,
  instancesOf,
}: SidecarPlan): Generator<NodeContent> {
  const zipf = isChoice(upstreams)
    ? new ZipfUpstreams({ services: upstreams.services, upstreams: upstreams.each })
    : null
  for (let number = from; number < from + count; number += 1) {
    const own =
      instancesOf === undefined
        ? { service: 'caller', id: `caller-${number}` }
        : instanceAt(number, { services: instancesOf })
    const chosen = isChoice(upstreams) ? (zipf?.of(number) ?? []) : upstreams
    yield { service: own.service, instance: own.id, upstreams: chosen }
  }
}
