import type { ChangeSet } from '../domain/change.ts'
import type { Document } from '../domain/document.ts'
import type { Instance } from '../domain/instance.ts'

/** What health needs of the replica's view of the mesh: mesh/mesh-state.ts. All reads are from memory. */
export interface MeshView {
  instance(service: string, id: string): Instance | undefined
  instances(): Iterable<Instance>
  /** A service with its instances, by id, and the document that bears its name. */
  service(
    name: string,
  ):
    { readonly instances: ReadonlyMap<string, Instance>; readonly document: Document | undefined } | undefined
  /** Called after each step of the feed; returns the call that ends it. */
  onDelta(
    listener: (delta: { readonly sets: readonly ChangeSet[]; readonly resynchronised: boolean }) => void,
  ): () => void
}
