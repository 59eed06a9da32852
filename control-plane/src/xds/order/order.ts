/** Make before break (X20): what waits for what among the types of one stream. Pure. */
import type { XdsResource } from '../port.ts'
import {
  clusterType,
  endpointType,
  listenerType,
  routeType,
  secretType,
  virtualHostType,
} from '../type-urls.ts'

/** How far one type of a stream is. */
export interface TypeProgress {
  readonly typeUrl: string
  /** Something of it is unsent or unanswered. */
  readonly busy: boolean
  /** The client has a version of this resource, or there is none that it could get. */
  settled(name: string): boolean
}

/** Few: looking through them costs less than a map of them for each stream. */
export type TypeProgresses = readonly TypeProgress[]

const progressOf = (types: TypeProgresses, typeUrl: string): TypeProgress | undefined =>
  types.find(type => type.typeUrl === typeUrl)

/** The types that have a place in the order, in this order. */
export const typesInOrder = [clusterType, endpointType, secretType, listenerType, routeType, virtualHostType]

/** The types that name clusters. */
export const clusterUsers = [listenerType, routeType, virtualHostType]

/** The place of a type in the order of sending; unknown types come last. */
export function pushRank(typeUrl: string): number {
  const rank = typesInOrder.indexOf(typeUrl)
  return rank < 0 ? typesInOrder.length : rank
}

const listenerRank = pushRank(listenerType)

/**
 * A route to a cluster that is missing or warming answers 503, so what newly names a cluster waits until the
 * client has ACKed a version of that cluster. `held`: what the client has under this name.
 */
export function mustWaitForClusters(
  resource: XdsResource,
  held: XdsResource | string | null | undefined,
  types: TypeProgresses,
): boolean {
  if (resource.dependsOn === undefined) return false
  const clusters = progressOf(types, clusterType)
  // After a reconnect the client may ask for clusters last (X13); what it holds serves until then.
  if (clusters === undefined) return typeof held === 'string' && namesCluster(resource)
  if (!clusters.busy) return false
  return resource.dependsOn.some(
    ({ typeUrl, name }) =>
      typeUrl === clusterType && !clusters.settled(name) && !(isResource(held) && names(held, name)),
  )
}

/**
 * Clusters go when no listener and no route is on its way any more, endpoints and secrets when no cluster is
 * either. The removal itself is part of the same revision as the routes that stopped using them.
 */
export function mustWaitToRemove(typeUrl: string, types: TypeProgresses): boolean {
  const rank = pushRank(typeUrl)
  if (rank >= listenerRank) return false
  for (const other of types) {
    if (other.busy && pushRank(other.typeUrl) >= listenerRank) return true
  }
  return typeUrl !== clusterType && progressOf(types, clusterType)?.busy === true
}

const isResource = (held: XdsResource | string | null | undefined): held is XdsResource =>
  typeof held === 'object' && held !== null

const namesCluster = (resource: XdsResource): boolean =>
  resource.dependsOn?.some(({ typeUrl }) => typeUrl === clusterType) === true

const names = (resource: XdsResource, cluster: string): boolean =>
  resource.dependsOn?.some(({ typeUrl, name }) => typeUrl === clusterType && name === cluster) === true
