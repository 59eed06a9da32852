import type { Revision } from '../../domain/revision.ts'
import { unsettled } from './stream-shape.ts'

/** How far a stream is, without words: what most looks at it want to know. */
export interface StreamGlance {
  /** Its number. */
  readonly stream: number
  /** Equal numbers of one stream: the same status but for revisions and times. `unsettled`: it owes an answer. */
  readonly shape: number
  /** As in `StreamStatus`. */
  readonly answeredRevision: Revision
}

/** What there is to see of a stream: `XdsStream`. */
interface Glanced {
  readonly id: number
  readonly shape: { readonly last: number }
  readonly deliveries: Iterable<{
    readonly busy: boolean
    readonly refusals: readonly unknown[]
    readonly behindSince: Revision | undefined
    readonly subscription: { readonly started: boolean }
  }>
}

/** Undefined when only its whole status tells. `revision`: the current one of the source. */
export const glanceAt = (
  { id, deliveries, shape }: Glanced,
  revision: Revision,
): StreamGlance | undefined => {
  let settled = true
  let answeredRevision = revision
  for (const { subscription, refusals, busy, behindSince } of deliveries) {
    if (!subscription.started || refusals.length > 0) return undefined
    if (busy) settled = false
    if (behindSince !== undefined) answeredRevision = Math.min(answeredRevision, Math.max(0, behindSince - 1))
  }
  if (!settled) return { stream: id, shape: unsettled, answeredRevision }
  return shape.last === unsettled ? undefined : { stream: id, shape: shape.last, answeredRevision }
}
