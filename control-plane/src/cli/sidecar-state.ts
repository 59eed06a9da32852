import type { SidecarView } from '../rest/schemas/sidecar.ts'
import { ago } from './table.ts'

/** How a sidecar stands to what it should have. From worst to best. */
export type SidecarState = 'refused' | 'stale' | 'stuck' | 'behind' | 'in sync'

/** Unanswered for longer than this, a response is not merely under way: Envoy warms clusters for up to 15 s. */
const stuckMs = 20_000
/** Replicas confirm what they wrote at least every 30 s; three missed confirmations are no accident. */
const staleMs = 90_000

interface Judged {
  readonly state: SidecarState
  /** What stands out, in words; empty when in sync. */
  readonly words: string
}

/** `now` is the time of the answer (ISO 8601), so that the caller's clock does not matter. */
export const judgeSidecar = (sidecar: SidecarView, now: string): Judged => {
  const since = (then: string): number => Date.parse(now) - Date.parse(then)
  if (sidecar.nacks.length > 0) {
    return { state: 'refused', words: `refused ${sidecar.nacks.flatMap(({ names }) => names).join(', ')}` }
  }
  if (since(sidecar.seenAt) > staleMs) {
    return {
      state: 'stale',
      words: `nothing heard from replica ${sidecar.replica} for ${ago(sidecar.seenAt, now)}`,
    }
  }
  const unanswered = sidecar.types
    .map(({ unansweredSince }) => unansweredSince)
    .filter(time => time !== null)
    .sort()[0]
  if (unanswered !== undefined && since(unanswered) > stuckMs) {
    return { state: 'stuck', words: `no answer for ${ago(unanswered, now)}` }
  }
  if (sidecar.inSync) return { state: 'in sync', words: '' }
  const waiting = sidecar.types.reduce(
    (sum, type) => sum + type.waiting + Math.max(0, type.sent - type.acked),
    0,
  )
  return { state: 'behind', words: `${waiting} resource${waiting === 1 ? '' : 's'} under way` }
}

/** These need somebody; `behind` resolves itself or becomes `stuck`. */
export const isFinding = (state: SidecarState): boolean =>
  state === 'refused' || state === 'stale' || state === 'stuck'
