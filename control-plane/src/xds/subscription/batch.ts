import type { Revision } from '../../domain/revision.ts'
import type { XdsResource } from '../port.ts'
import type { Refusal } from './refusals.ts'

/**
 * What the client has under a name: a resource that it ACKed; a version that it claims and that is not the
 * current one; null when it knows that there is nothing.
 */
export type Held = XdsResource | string | null

/** One response of one type, before it is encoded. */
export interface Batch {
  readonly typeUrl: string
  /** What the response calls the version of the type. */
  readonly version: string | undefined
  readonly resources: readonly XdsResource[]
  readonly removed: readonly string[]
  readonly takesBack: boolean
  readonly revision: Revision
}

/** The order rules (X20), asked for each resource that would be sent. */
export interface Gates {
  mayAdd(typeUrl: string, resource: XdsResource, held: Held | undefined): boolean
  mayRemove(typeUrl: string, name: string): boolean
  /** Nothing waits under this name any more. */
  settle(typeUrl: string, name: string): void
}

export interface FirstRequest {
  readonly initialVersions: ReadonlyMap<string, string>
  /** X10, X20: names (or all) to be sent although their version matches, since a cluster warms for them. */
  readonly distrusted: ReadonlySet<string> | 'all'
}

/** What a nonce in a request meant: an ACK, nothing (X14), or a NACK. */
export type Answer = 'acked' | 'stale' | Refusal
