import type { XdsNode } from '../port.ts'

/** What requests of both forms have. */
export interface XdsRequest {
  /** Undefined when the message has no node; Envoy sends it in the first message of a stream only. */
  readonly node: XdsNode | undefined
  readonly typeUrl: string
  /** Empty: the message answers no response. */
  readonly nonce: string
  /** `error_detail.message`; undefined when there is no `error_detail`: only that makes a NACK (X14). */
  readonly error: string | undefined
}

/** What the server uses of a DeltaDiscoveryRequest. */
export interface DeltaRequest extends XdsRequest {
  readonly subscribe: readonly string[]
  readonly unsubscribe: readonly string[]
  readonly initialVersions: ReadonlyMap<string, string>
}

/** What the server uses of a DiscoveryRequest: state of the world. */
export interface SotwRequest extends XdsRequest {
  /** Every name that the client wants; see `SotwSession` for what an empty list means. */
  readonly names: readonly string[]
  /** `version_info`: of the last response that the client took, also on an earlier stream. */
  readonly version: string
}

/** Bytes that are no request, or one beyond the limits; ends the stream, not the connection. */
export interface MalformedRequest {
  readonly malformed: string
  readonly tooLarge: boolean
}
