import type { Revision } from '../domain/revision.ts'

/** Who asks for a write, and in which trace. */
export interface WriteContext {
  readonly actor: string
  readonly traceparent: string | null
}

/** `null`: any state; `absent`: must not exist yet; a revision: must not have changed since. */
export type Precondition = Revision | 'absent' | null
