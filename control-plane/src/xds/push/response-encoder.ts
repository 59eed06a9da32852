import { framedMessage } from '../transport/grpc-frame.ts'
import type { ResponseWire } from './encode-response.ts'
import type { XdsResource } from '../port.ts'
import type { XdsCounters } from '../counters.ts'

/** An encoded response. It may go to many streams: a nonce only has to be unique within each. */
export interface EncodedResponse {
  readonly typeUrl: string
  readonly version: string | undefined
  readonly resources: readonly XdsResource[]
  readonly removed: readonly string[]
  readonly nonce: string
  /** Grows with each encoding; a stream takes only what is younger than its last response. */
  readonly sequence: number
  /** The message with the head that gRPC puts before it. */
  readonly framed: Buffer
}

export interface ResponseContent {
  readonly typeUrl: string
  /** What the response calls the version of the type. */
  readonly version: string | undefined
  readonly resources: readonly XdsResource[]
  readonly removed: readonly string[]
}

const recentResponses = 8
const recentBytes = 16 * 1024 * 1024

/**
 * Encodes each resource once for as long as it lives, and a response once for all streams that get the same
 * list one after the other: the last few responses are kept, compared element by element.
 */
export class ResponseEncoder {
  readonly #noncePrefix: string
  readonly #counters: XdsCounters
  readonly #wire: ResponseWire
  readonly #encoded = new WeakMap<XdsResource, Buffer>()
  #recent: EncodedResponse[] = []
  #recentBytes = 0
  #sequence = 0

  /** `noncePrefix` keeps the nonces of this process apart from those of one before it. */
  constructor(options: { noncePrefix: string; counters: XdsCounters; wire: ResponseWire }) {
    this.#noncePrefix = options.noncePrefix
    this.#counters = options.counters
    this.#wire = options.wire
  }

  /** `after`: the sequence of the stream's last response; the nonce is one that it has not seen. */
  encode(content: ResponseContent, after: number): EncodedResponse {
    const shared = this.#recent.find(kept => kept.sequence > after && sameContent(kept, content))
    if (shared !== undefined) return shared
    this.#sequence += 1
    const nonce = `${this.#noncePrefix}${this.#sequence.toString(36)}`
    const { typeUrl, version, resources, removed } = content
    const parts = resources.map(resource => this.#resource(typeUrl, resource))
    parts.push(this.#wire.tail({ typeUrl, version, nonce, removed }))
    const response = {
      typeUrl,
      version,
      resources,
      removed,
      nonce,
      sequence: this.#sequence,
      framed: framedMessage(parts),
    }
    this.#keep(response)
    return response
  }

  #resource(typeUrl: string, resource: XdsResource): Buffer {
    const known = this.#encoded.get(resource)
    if (known !== undefined) return known
    const bytes = this.#wire.resource(typeUrl, resource)
    this.#encoded.set(resource, bytes)
    this.#counters.of(typeUrl).encodes += 1
    return bytes
  }

  #keep(response: EncodedResponse): void {
    this.#recent.unshift(response)
    this.#recentBytes += response.framed.length
    while (this.#recent.length > recentResponses || this.#recentBytes > recentBytes) {
      this.#recentBytes -= this.#recent.pop()?.framed.length ?? 0
    }
  }
}

const sameContent = (a: ResponseContent, b: ResponseContent): boolean =>
  a.typeUrl === b.typeUrl &&
  a.version === b.version &&
  sameItems(a.resources, b.resources) &&
  sameItems(a.removed, b.removed)

const sameItems = (a: readonly unknown[], b: readonly unknown[]): boolean =>
  a.length === b.length && a.every((item, index) => item === b[index])
