import type { XdsNode } from '../port.ts'

/** What the server uses of a DeltaDiscoveryRequest. */
export interface DeltaRequest {
  /** Undefined when the message has no node; Envoy sends it in the first message of a stream only. */
  readonly node: XdsNode | undefined
  readonly typeUrl: string
  readonly subscribe: readonly string[]
  readonly unsubscribe: readonly string[]
  readonly initialVersions: ReadonlyMap<string, string>
  /** Empty: the message answers no response. */
  readonly nonce: string
  /** `error_detail.message`; undefined when there is no `error_detail`: only that makes a NACK (X14). */
  readonly error: string | undefined
}

/** Bytes that are no DeltaDiscoveryRequest; ends the stream, not the connection. */
export interface MalformedRequest {
  readonly malformed: string
}
