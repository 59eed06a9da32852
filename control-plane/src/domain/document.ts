import type { Revision } from './revision.ts'

/** A piece of desired traffic behaviour that a user applies. */
export interface Document {
  readonly kind: string
  readonly name: string
  /** As validated and completed by @waymark/sidecar-config's model of this kind. */
  readonly spec: unknown
  /** The revision that last changed it; its ETag. */
  readonly revision: Revision
}

export const documentKey = (kind: string, name: string): string => `${kind}/${name}`
