import type { Document } from './document.ts'
import type { Instance } from './instance.ts'
import type { Revision } from './revision.ts'

/** Everything the log has led to at one revision. Instances may be in any order. */
export interface MeshSnapshot {
  readonly revision: Revision
  readonly instances: readonly Instance[]
  readonly documents: readonly Document[]
}
