import type { Batch } from '../subscription/batch.ts'
import type { DeltaRequest } from '../subscription/xds-request.ts'
import { hasLegacyWildcard } from '../type-urls.ts'

/** A response on its way to the client. */
export interface Delivered {
  readonly batch: Batch
  readonly nonce: string
}

interface ModelType {
  wildcard: boolean
  readonly names: Set<string>
  /** What works at the client; without a version when the last response about it was refused. */
  readonly held: Map<string, { readonly body: string; readonly version: string | undefined }>
  /** The type was requested on this stream. */
  requested: boolean
}

/** Bodies that the client refuses start so. */
export const badBody = 'bad'

const request = (typeUrl: string, fields: Partial<DeltaRequest> = {}): DeltaRequest => ({
  node: undefined,
  typeUrl,
  subscribe: [],
  unsubscribe: [],
  initialVersions: new Map(),
  nonce: '',
  error: undefined,
  ...fields,
})

/**
 * A client of delta ADS as the protocol describes it, with Envoy's ways: a refused response may be applied in
 * part, and leaves no versions. It throws when the server breaks X17.
 */
export class ModelClient {
  readonly types = new Map<string, ModelType>()

  /** A request that changes the subscription; undefined when there is nothing to say. */
  change(typeUrl: string, subscribe: readonly string[], unsubscribe: readonly string[]): DeltaRequest {
    const type = this.#type(typeUrl)
    const first = !type.requested
    type.requested = true
    for (const name of unsubscribe) {
      if (name === '*') type.wildcard = false
      else type.names.delete(name)
    }
    for (const name of subscribe) {
      if (name === '*') type.wildcard = true
      else type.names.add(name)
    }
    if (first && subscribe.length === 0 && hasLegacyWildcard(typeUrl)) type.wildcard = true
    if (!type.wildcard) {
      for (const name of type.held.keys()) if (!type.names.has(name)) type.held.delete(name)
    }
    return request(typeUrl, { subscribe, unsubscribe })
  }

  /** Applies a response and answers it; what it never asked for it ignores. `applies` decides what of a refused response is applied. */
  receive({ batch, nonce }: Delivered, applies: (name: string) => boolean): DeltaRequest | undefined {
    const { typeUrl, resources, removed } = batch
    const names = [...resources.map(({ name }) => name), ...removed]
    if (new Set(names).size !== names.length) throw new Error(`X17 broken: ${names.join(' ')}`)
    const type = this.#type(typeUrl)
    if (!type.requested) return undefined
    const refused = resources.filter(({ body }) =>
      Buffer.from(body ?? [])
        .toString()
        .startsWith(badBody),
    )
    for (const { name, body, version } of resources) {
      const text = Buffer.from(body ?? []).toString()
      if (!type.wildcard && !type.names.has(name)) continue
      if (refused.length === 0) type.held.set(name, { body: text, version })
      else if (!text.startsWith(badBody) && applies(name))
        type.held.set(name, { body: text, version: undefined })
      else {
        const before = type.held.get(name)
        if (before !== undefined) type.held.set(name, { body: before.body, version: undefined })
      }
    }
    if (refused.length === 0) for (const name of removed) type.held.delete(name)
    const error = refused.length === 0 ? undefined : `refused ${refused.map(({ name }) => name).join(', ')}`
    return request(typeUrl, { nonce, error })
  }

  /** The first requests of a new stream: one per subscribed type, in the order given by `rank`. */
  reconnect(rank: (typeUrl: string) => number): DeltaRequest[] {
    const requests: DeltaRequest[] = []
    for (const [typeUrl, type] of [...this.types].sort(([a], [b]) => rank(a) - rank(b))) {
      type.requested = type.wildcard || type.names.size > 0
      if (!type.requested) continue
      const legacy = type.wildcard && type.names.size === 0 && hasLegacyWildcard(typeUrl)
      const versions = [...type.held].flatMap(([name, { version }]) =>
        version === undefined ? [] : [[name, version] as const],
      )
      const subscribe = legacy ? [] : [...(type.wildcard ? ['*'] : []), ...type.names]
      requests.push(request(typeUrl, { subscribe, initialVersions: new Map(versions) }))
    }
    return requests
  }

  #type(typeUrl: string): ModelType {
    const known = this.types.get(typeUrl)
    if (known !== undefined) return known
    const type = { wildcard: false, names: new Set<string>(), held: new Map(), requested: false }
    this.types.set(typeUrl, type)
    return type
  }
}
