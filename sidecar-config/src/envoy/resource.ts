import { createHash } from 'node:crypto'
import { encodeAlone, messageTypes, type MessageType } from './any.ts'

/** One xDS resource, encoded. */
export interface PackedResource {
  readonly typeUrl: string
  readonly name: string
  /** The encoded message, without the Any around it. */
  readonly body: Buffer
  /** A hash of the body: the same on every replica and across restarts (X11). 16 hexadecimal digits. */
  readonly version: string
}

/** Envoy names its endpoints by cluster, everything else by name. */
interface Named {
  readonly name?: string
  readonly clusterName?: string
}

/**
 * Encodes a resource. ts-proto writes fields in the order of their declaration and maps in the order of
 * insertion, and builders sort what they are given: equal input, equal bytes.
 */
const packed = <Message extends Named>(type: MessageType<Message>, message: Message): PackedResource => {
  const body = encodeAlone(type, message)
  return {
    typeUrl: type.typeUrl,
    name: message.clusterName ?? message.name ?? '',
    body,
    version: createHash('sha256').update(body).digest('hex').slice(0, 16),
  }
}

type Packer<Type> = Type extends MessageType<infer Message> ? (message: Message) => PackedResource : never

export const packCluster: Packer<typeof messageTypes.cluster> = message =>
  packed(messageTypes.cluster, message)
export const packEndpoints: Packer<typeof messageTypes.endpoints> = message =>
  packed(messageTypes.endpoints, message)
export const packListener: Packer<typeof messageTypes.listener> = message =>
  packed(messageTypes.listener, message)
export const packVirtualHost: Packer<typeof messageTypes.virtualHost> = message =>
  packed(messageTypes.virtualHost, message)
export const packRoutes: Packer<typeof messageTypes.routes> = message => packed(messageTypes.routes, message)
