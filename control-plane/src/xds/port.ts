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
  /**
   * The encoded message, without the Any around it; null for a resource without a body: the answer "there is none"
   * where a removed name would leave the client waiting (X7). State of the world leaves it out.
   */
  readonly body: Uint8Array | null
  /** Other names under which it can be asked for (X7). */
  readonly aliases?: readonly string[]
  /** How long it holds without a heartbeat, in milliseconds; only where the server is set to send TTLs (X22). */
  readonly ttlMs?: number
  /** The revision at which this replica last saw it change. */
  readonly revision: Revision
  /**
   * What it names and cannot work without (X20): a cluster its endpoints (and secrets), a route
   * configuration its clusters.
   */
  readonly dependsOn?: readonly ResourceRef[]
}

/**
 * Names of one resource set that were added, changed or removed at `revision`. A resource with aliases is told
 * of under each of its names: streams are found by the name that they asked for.
 */
export interface ResourceSetChange {
  readonly revision: Revision
  readonly names: readonly string[]
}

/**
 * A live, named collection of resources of one type, shared by all streams that see the same. A wildcard
 * subscription covers `names()`; `get` may also know names that the wildcard does not cover.
 */
export interface ResourceSet {
  /**
   * What a response calls the version of this type. Absent: delta leaves it empty (each resource has its own),
   * state of the world derives one from the content.
   */
  readonly version?: string | undefined
  /** By name or alias: the resource found may have another name than the one asked for (X7). */
  get(name: string): XdsResource | undefined
  names(): Iterable<string>
  /**
   * A client asks for these names or says that it holds them; called before they are looked up. A set that serves on
   * demand may cover more from then on, of which it tells its watchers. `*` may be among them.
   */
  asked?(names: readonly string[]): void
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
  /** `client_features`, at most 64. */
  readonly clientFeatures: readonly string[]
}

/** Who is at the other end of the stream, as the transport knows it; X25 compares it with what the node says. */
export interface XdsPeer {
  /** `address:port` of the client. */
  readonly address: string
  /** SPIFFE ids of a verified client certificate. */
  readonly spiffeIds: readonly string[]
  /** From the `authorization` metadata of the call; not verified. */
  readonly bearerToken: string | undefined
  /** How it asks for resources; absent: it asks for none (it reports load). */
  readonly stream?: {
    readonly form: 'delta' | 'sotw'
    /** All types on one stream (ADS), or one type on each. */
    readonly aggregated: boolean
  }
}

/** What one sidecar sees. Two sidecars that see the same resources of a type get the same set object. */
export interface XdsView {
  /**
   * The resources of a type, or undefined when this source does not serve the type. Secrets have a set of their own
   * for each identity, in which there are no others' (X25).
   */
  set(typeUrl: string): ResourceSet | undefined
  /** Tells `listener` if the source ends the stream later, for instance since its credential has expired. */
  onRefused?(listener: (error: XdsRefusedError) => void): void
  /** The stream has ended; called once. */
  close(): void
}

/** Refuses a stream; ends it with this gRPC status and a message for the sidecar's log. */
export class XdsRefusedError extends Error {
  override readonly name = 'XdsRefusedError'
  /** A `grpc.status` number: 3 INVALID_ARGUMENT, 7 PERMISSION_DENIED, 14 UNAVAILABLE, 16 UNAUTHENTICATED. */
  readonly status: 3 | 7 | 14 | 16

  constructor(status: 3 | 7 | 14 | 16, message: string) {
    super(message)
    this.status = status
  }
}

export interface XdsSource {
  /** Resolves when the first complete state has loaded: no request is answered before (X12). */
  ready(): Promise<void>
  /** Throws XdsRefusedError when this node cannot be served. */
  open(node: XdsNode, peer: XdsPeer): XdsView
  /**
   * Calls `listener` after each applied revision, when all sets have told their watchers of it. Streams use it
   * to say up to which revision a sidecar is in sync. `committedAt`: when the oldest change of this step was
   * committed, milliseconds since the epoch; undefined: just now. Returns the call that ends it.
   */
  onRevision(listener: (revision: Revision, committedAt?: number) => void): () => void
  /** The last applied revision. */
  revision(): Revision
}
