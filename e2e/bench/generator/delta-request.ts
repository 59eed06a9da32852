import { Node } from '@envoyproxy/protos/envoy/config/core/v3/base.ts'
import { DeltaDiscoveryRequest } from '@envoyproxy/protos/envoy/service/discovery/v3/discovery.ts'
import { simulatedNode } from '../../harness/xds-node.ts'
import { besideStream, messageFrames } from './http2-frames.ts'

export interface DeltaRequestContent {
  readonly typeUrl: string
  readonly subscribe?: readonly string[]
  readonly unsubscribe?: readonly string[]
  readonly nonce?: string
  /** Makes it a NACK. */
  readonly error?: string
  readonly held?: ReadonlyMap<string, string>
}

export interface NodeContent {
  readonly service: string
  readonly instance: string
  /** null: all services. */
  readonly upstreams: readonly string[] | null
}

const nodeField = 1

const lengthDelimited = (field: number, parts: readonly Uint8Array[]): Buffer => {
  let length = parts.reduce((sum, part) => sum + part.length, 0)
  const head = [(field << 3) | 2]
  for (; length >= 0x80; length = Math.floor(length / 128)) head.push((length & 0x7f) | 0x80)
  head.push(length)
  return Buffer.concat([Buffer.from(head), ...parts])
}

const requestBytes = ({
  typeUrl,
  subscribe = [],
  unsubscribe = [],
  nonce = '',
  error,
  held,
}: DeltaRequestContent): Uint8Array =>
  DeltaDiscoveryRequest.encode(
    DeltaDiscoveryRequest.fromPartial({
      typeUrl,
      resourceNamesSubscribe: [...subscribe],
      resourceNamesUnsubscribe: [...unsubscribe],
      responseNonce: nonce,
      ...(error === undefined ? {} : { errorDetail: { code: 3, message: error } }),
      initialResourceVersions: Object.fromEntries(held ?? []),
    }),
  ).finish()

/** Encodes what sidecars send. What all of them send alike is encoded once: Envoy's extensions, an ACK. */
export class DeltaRequests {
  readonly #extensions: Uint8Array
  #lastAck: { readonly key: string; readonly frames: readonly Buffer[] } = { key: '', frames: [] }

  constructor() {
    const { extensions } = simulatedNode({ service: 'any', instance: 'any' })
    this.#extensions = Node.encode(Node.fromPartial({ extensions })).finish()
  }

  /** With the node, as the first message of a stream. */
  first({ service, instance, upstreams }: NodeContent, content: DeltaRequestContent): readonly Buffer[] {
    const own = simulatedNode({ service, instance, ...(upstreams && { upstreams }) })
    const node = [Node.encode({ ...own, extensions: [] }).finish(), this.#extensions]
    return messageFrames(Buffer.concat([lengthDelimited(nodeField, node), requestBytes(content)]))
  }

  /** The first load report of a sidecar, which like all of them has the whole node. */
  loadReport({ service, instance, upstreams }: NodeContent): readonly Buffer[] {
    const own = simulatedNode({ service, instance, ...(upstreams && { upstreams }) })
    const features = ['envoy.lrs.supports_send_all_clusters']
    const node = Node.encode({ ...own, clientFeatures: features, extensions: [] }).finish()
    return messageFrames(lengthDelimited(nodeField, [node, this.#extensions]), besideStream)
  }

  next(content: DeltaRequestContent): readonly Buffer[] {
    return messageFrames(requestBytes(content))
  }

  /** Where a server gives many streams the same nonce, they also share the ACK. */
  ack(typeUrl: string, nonce: string): readonly Buffer[] {
    const key = `${typeUrl} ${nonce}`
    if (this.#lastAck.key !== key) this.#lastAck = { key, frames: this.next({ typeUrl, nonce }) }
    return this.#lastAck.frames
  }
}
