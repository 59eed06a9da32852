import type { Document } from '../domain/document.ts'
import type { Instance } from '../domain/instance.ts'
import type { Revision } from '../domain/revision.ts'
import type { Verdict } from '../domain/verdict.ts'

/** A name that others call: it exists while it has an instance or a `Service` document. */
export interface ServiceState {
  readonly name: string
  /** By instance id. */
  readonly instances: ReadonlyMap<string, Instance>
  /** How many of them have each verdict. */
  readonly verdicts: Readonly<Record<Verdict, number>>
  /** The document of kind `Service` and this name. */
  readonly document: Document | undefined
}

/** What can be read of a mesh at one revision: as it is (MeshState), or as it was (PastMesh). */
export interface MeshView {
  readonly revision: Revision
  service(name: string): ServiceState | undefined
  /** In order of their names. */
  services(): ServiceState[]
  instance(service: string, id: string): Instance | undefined
  document(kind: string, name: string): Document | undefined
  /** In order of kind and name. */
  documents(kind?: string): Document[]
}

export const noVerdicts = (): Record<Verdict, number> => ({
  healthy: 0,
  degraded: 0,
  unhealthy: 0,
  draining: 0,
  maintenance: 0,
  unknown: 0,
})

export const byName = (a: { readonly name: string }, b: { readonly name: string }): number =>
  a.name < b.name ? -1 : 1
