import type { SidecarEntry } from './ports.ts'

/** How a sidecar stands to what it should have. From worst to best; `docs/reference/rest.md` explains each. */
export const sidecarStates = ['rejected', 'stuck', 'stale', 'disconnected', 'pending', 'in-sync'] as const
export type SidecarState = (typeof sidecarStates)[number]

export interface JudgedSidecar {
  readonly entry: SidecarEntry
  readonly state: SidecarState
  /** Since when, milliseconds since the epoch. */
  readonly since: number
}

/** Unanswered for longer than this, a response is not merely under way. */
const stuckMs = 10_000

/** `now`: milliseconds since the epoch. */
export const judgeSidecar = (entry: SidecarEntry, now: number): JudgedSidecar => {
  const { status, endedAt, seenAt, lost } = entry
  if (endedAt !== null) return { entry, state: 'disconnected', since: Date.parse(endedAt) }
  if (lost) return { entry, state: 'stale', since: Date.parse(seenAt) }
  if (status.nacks.length > 0) {
    return { entry, state: 'rejected', since: Math.min(...status.nacks.map(({ at }) => at)) }
  }
  const unanswered = Math.min(...status.types.map(({ unansweredSince }) => unansweredSince ?? Infinity))
  if (now - unanswered > stuckMs) return { entry, state: 'stuck', since: unanswered }
  if (status.inSync) return { entry, state: 'in-sync', since: status.heardAt }
  return { entry, state: 'pending', since: Math.min(unanswered, status.heardAt) }
}

const rankOf = ({ state }: JudgedSidecar): number => sidecarStates.indexOf(state)

/** Where a page of a list ends: what comes after it in `worstFirst`. */
export const cursorOf = (one: JudgedSidecar): string => `${rankOf(one)}:${one.entry.node}`

const compare = (a: readonly [number, string], b: readonly [number, string]): number =>
  a[0] - b[0] || (a[1] < b[1] ? -1 : a[1] > b[1] ? 1 : 0)

export const worstFirst = (all: readonly JudgedSidecar[]): JudgedSidecar[] =>
  all.toSorted((a, b) => compare([rankOf(a), a.entry.node], [rankOf(b), b.entry.node]))

/** Those that come after the cursor. A sidecar that changes its state between two pages may be missed or come twice. */
export const after = (all: readonly JudgedSidecar[], cursor: string): JudgedSidecar[] => {
  const colon = cursor.indexOf(':')
  const end = [Number(cursor.slice(0, colon)), cursor.slice(colon + 1)] as const
  return all.filter(one => compare([rankOf(one), one.entry.node], end) > 0)
}
