/** What the xDS server tells about its streams: the material of `/sidecars` and `waymark sync`. */
import type { Revision } from '../../domain/revision.ts'

/** A resource that the sidecar refused. */
export interface NackStatus {
  readonly typeUrl: string
  /** The culprit when it is known (NACKed alone), else every name of the refused response. */
  readonly names: readonly string[]
  /** Empty when several resources were refused together. */
  readonly version: string
  /** Envoy's words; at most 2,048 characters. */
  readonly message: string
  /** Milliseconds since the epoch, this replica's clock. */
  readonly at: number
  /** The revision of the refused response. */
  readonly revision: Revision
}

export interface TypeStatus {
  readonly typeUrl: string
  readonly wildcard: boolean
  /** Names subscribed one by one. */
  readonly subscribed: number
  readonly sent: number
  readonly acked: number
  /** Changed, but not sent yet (waiting for order, an ACK or the socket). */
  readonly waiting: number
  /** Milliseconds since the epoch of the oldest response without an answer; null: none. */
  readonly unansweredSince: number | null
}

/** A second client with the same node id. */
export interface RivalStatus {
  readonly address: string
  readonly connectedAt: number
}

export interface StreamStatus {
  readonly node: string
  readonly agent: string
  /** Unique within this replica. */
  readonly stream: number
  readonly connectedAt: number
  /** Where its client is: address and port. */
  readonly address: string
  /** When its last message came; milliseconds since the epoch. */
  readonly heardAt: number
  /** Other clients that call themselves the same and are alive. */
  readonly rivals: readonly RivalStatus[]
  /** Everything that touched this sidecar up to this revision has been sent and ACKed. */
  readonly syncedRevision: Revision
  /** Everything that touched this sidecar up to this revision has been sent and answered: ACKed or NACKed. */
  readonly answeredRevision: Revision
  /** All of the current revision has been sent and ACKed. */
  readonly inSync: boolean
  readonly types: readonly TypeStatus[]
  readonly nacks: readonly NackStatus[]
}

/** One resource as one sidecar has it. */
export interface ResourceStatus {
  readonly typeUrl: string
  readonly name: string
  readonly sentVersion: string | null
  readonly ackedVersion: string | null
  readonly revision: Revision | null
  readonly nack: { readonly version: string; readonly message: string; readonly at: number } | null
}
