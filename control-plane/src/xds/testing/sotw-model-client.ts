import type { XdsResource } from '../port.ts'
import type { SotwRequest } from '../subscription/xds-request.ts'
import { hasFullState, hasLegacyWildcard } from '../type-urls.ts'
import { badBody } from './model-client.ts'

/** A state-of-the-world response on its way to the client. */
export interface DeliveredState {
  readonly typeUrl: string
  readonly resources: readonly XdsResource[]
  readonly version: string
  readonly nonce: string
}

interface ModelType {
  names: ReadonlySet<string>
  wildcard: boolean
  everNamed: boolean
  /** What works at the client. */
  readonly held: Map<string, string>
  /** Of the last response that it took. */
  version: string
  /** Of the last response on this stream. */
  nonce: string
  /** Taken from a response that was refused: the version does not tell of it. */
  readonly untold: Set<string>
  requested: boolean
}

const wildcardName = '*'

/**
 * A client of state-of-the-world ADS as the protocol describes it. Of a refused response it applies a part, as Envoy and
 * gRPC do, and goes on naming the version before.
 */
export class SotwModelClient {
  readonly types = new Map<string, ModelType>()

  /** A request with this list of names. */
  change(typeUrl: string, names: readonly string[]): SotwRequest {
    const type = this.#type(typeUrl)
    const listed = new Set(names)
    if (!type.requested) type.everNamed = false
    type.requested = true
    type.everNamed ||= listed.size > 0
    type.wildcard = listed.delete(wildcardName) || (hasLegacyWildcard(typeUrl) && !type.everNamed)
    type.names = listed
    if (!type.wildcard && listed.size === 0) type.version = ''
    for (const name of type.held.keys()) if (!wants(type, name)) type.held.delete(name)
    return this.#request(typeUrl, type)
  }

  /** Applies a response and answers it. `applies`: what of a refused response is applied. */
  receive(state: DeliveredState, applies: (name: string) => boolean): SotwRequest | undefined {
    const { typeUrl, resources, version, nonce } = state
    if (new Set(resources.map(({ name }) => name)).size !== resources.length) throw new Error('X17 broken')
    const type = this.#type(typeUrl)
    if (!type.requested) return undefined
    type.nonce = nonce
    const bodies = new Map(resources.map(({ name, body }) => [name, Buffer.from(body ?? []).toString()]))
    const refused = [...bodies].filter(([, body]) => body.startsWith(badBody)).map(([name]) => name)
    for (const [name, body] of bodies) {
      if (!wants(type, name) || refused.includes(name)) continue
      if (refused.length > 0 && !applies(name)) continue
      if (refused.length > 0) type.untold.add(name)
      else type.untold.delete(name)
      type.held.set(name, body)
    }
    if (refused.length > 0) return this.#request(typeUrl, type, `refused ${refused.join(', ')}`)
    if (hasFullState(typeUrl)) {
      for (const name of type.held.keys()) if (!bodies.has(name)) type.held.delete(name)
    }
    type.version = type.wildcard || type.names.size > 0 ? version : ''
    return this.#request(typeUrl, type)
  }

  /** The first requests of a new stream, in the order given by `rank`. */
  reconnect(rank: (typeUrl: string) => number): SotwRequest[] {
    const requests: SotwRequest[] = []
    for (const [typeUrl, type] of [...this.types].sort(([a], [b]) => rank(a) - rank(b))) {
      type.requested = type.wildcard || type.names.size > 0
      type.nonce = ''
      // Who comes with an empty list and a version has had the wildcard ever since; others say `*`.
      type.everNamed ||= type.names.size > 0 || !hasLegacyWildcard(typeUrl)
      if (type.requested) requests.push(this.#request(typeUrl, type))
    }
    return requests
  }

  #request(typeUrl: string, type: ModelType, error?: string): SotwRequest {
    const legacy = type.wildcard && !type.everNamed
    const names = [...(type.wildcard && !legacy ? [wildcardName] : []), ...type.names]
    return { node: undefined, typeUrl, names, version: type.version, nonce: type.nonce, error }
  }

  #type(typeUrl: string): ModelType {
    const known = this.types.get(typeUrl)
    if (known !== undefined) return known
    const type: ModelType = {
      names: new Set(),
      wildcard: false,
      everNamed: false,
      held: new Map(),
      version: '',
      nonce: '',
      untold: new Set(),
      requested: false,
    }
    this.types.set(typeUrl, type)
    return type
  }
}

const wants = ({ wildcard, names }: ModelType, name: string): boolean => wildcard || names.has(name)
