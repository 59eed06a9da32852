/**
 * What the generic xDS server needs from the outside: named, versioned, already encoded resources. It knows
 * no services; `resources/` implements this port in production, a plain map in the tests.
 */
import type { Revision } from '../domain/revision.ts'

export interface ResourceRef {
  readonly typeUrl: string
  readonly name: string
}

/**
 * One xDS resource. Immutable: unchanged means the same object, so that its encodings are shared by every
 * stream that gets it.
 */
export interface XdsResource {
  readonly name: string
  /** The same on every replica and across restarts (X11): a hash of what is encoded. */
  readonly version: string
  /** The encoded message, without the Any around it. */
  readonly body: Uint8Array
  /** The revision at which this replica last saw it change. */
  readonly revision: Revision
  /**
   * What it names and cannot work without (X20): a cluster its endpoints (and secrets), a route
   * configuration its clusters.
   */
  readonly dependsOn?: readonly ResourceRef[]
}

/** Names of one resource set that were added, changed or removed at `revision`. */
export interface ResourceSetChange {
  readonly revision: Revision
  readonly names: readonly string[]
}

/**
 * A live, named collection of resources of one type, shared by all streams that see the same. A wildcard
 * subscription covers `names()`; `get` may also know names that the wildcard does not cover.
 */
export interface ResourceSet {
  get(name: string): XdsResource | undefined
  names(): Iterable<string>
  /**
   * Whether a wildcard covers `name`, which has a resource: the same as being in `names()`, in O(1). Absent: a
   * wildcard covers every name that `get` knows.
   */
  covers?(name: string): boolean
  /**
   * Calls `listener` after the set has changed, in revision order, never re-entrantly from `watch`. A watcher
   * costs the set O(1); the xDS server watches each set once and keeps its own index of streams by name.
   * Returns the call that ends it.
   */
  watch(listener: (change: ResourceSetChange) => void): () => void
}

/** What a stream says about its client in its first message; the rest of Envoy's node is dropped unread. */
export interface XdsNode {
  readonly id: string
  readonly cluster: string
  readonly locality: { readonly region: string; readonly zone: string }
  /** `node.metadata.waymark`, as JSON; undefined when absent. */
  readonly metadata: unknown
  /** `user_agent_name`/`user_agent_version`: `envoy/1.40.0`. */
  readonly agent: string
}

/** What one sidecar sees. Two sidecars that see the same resources of a type get the same set object. */
export interface XdsView {
  /** The resources of a type, or undefined when this source does not serve the type. */
  set(typeUrl: string): ResourceSet | undefined
  /** The stream has ended; called once. */
  close(): void
}

/** Refuses a stream; ends it with this gRPC status and a message for the sidecar's log. */
export class XdsRefusedError extends Error {
  override readonly name = 'XdsRefusedError'
  /** A `grpc.status` number: 3 INVALID_ARGUMENT, 7 PERMISSION_DENIED, 14 UNAVAILABLE. */
  readonly status: 3 | 7 | 14

  constructor(status: 3 | 7 | 14, message: string) {
    super(message)
    this.status = status
  }
}

export interface XdsSource {
  /** Resolves when the first complete state has loaded: no request is answered before (X12). */
  ready(): Promise<void>
  /** Throws XdsRefusedError when this node cannot be served. */
  open(node: XdsNode): XdsView
  /**
   * Calls `listener` after each applied revision, when all sets have told their watchers of it. Streams use it
   * to say up to which revision a sidecar is in sync. Returns the call that ends it.
   */
  onRevision(listener: (revision: Revision) => void): () => void
  /** The last applied revision. */
  revision(): Revision
}
