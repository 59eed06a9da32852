import type { EvidenceVerdict } from './verdict.ts'

/**
 * When an instance counts as flapping: route flap damping (RFC 2439) for verdicts. Each change of verdict adds 1 to
 * the instance's penalty, which halves every `halfLifeMs`. At `holdAt` the instance is held at its worse verdict,
 * below `releaseBelow` it is let go.
 */
export interface FlapPolicy {
  readonly halfLifeMs: number
  readonly holdAt: number
  /** Greater than 0, less than `holdAt`. */
  readonly releaseBelow: number
  /** How long an instance is held at most after its last change. */
  readonly maxHoldMs: number
}

/**
 * Six changes of verdict at once, or changes that go on and are less than about half a minute apart. Far above what
 * a restart makes, as RFC 7196 recommends.
 */
export const defaultFlapPolicy: FlapPolicy = {
  halfLifeMs: 120_000,
  holdAt: 6,
  releaseBelow: 3,
  maxHoldMs: 600_000,
}

/** What is remembered of an instance's changes of verdict. Times are ISO 8601, Postgres time. */
export interface Flapping {
  /** As of `at`; it decays from then on. */
  readonly penalty: number
  /** When the verdict last changed. */
  readonly at: string
  /** What the evidence last said. */
  readonly seen: EvidenceVerdict
  /** null: not held. */
  readonly held: FlapHold | null
}

export interface FlapHold {
  /** The instance is shown and routed to as this, or as what is worse. */
  readonly verdict: EvidenceVerdict
  readonly since: string
  /** When it is let go unless its verdict changes again. */
  readonly until: string
}

const ranks: Readonly<Record<EvidenceVerdict, number>> = { unknown: 0, healthy: 1, degraded: 2, unhealthy: 3 }

export const worse = (a: EvidenceVerdict, b: EvidenceVerdict): EvidenceVerdict =>
  ranks[a] >= ranks[b] ? a : b

/** Below this a penalty is not worth remembering. */
const forgottenBelow = 0.5

const decayed = ({ penalty, at }: Flapping, now: number, { halfLifeMs }: FlapPolicy): number =>
  penalty * 2 ** (-Math.max(0, now - Date.parse(at)) / halfLifeMs)

/** Milliseconds until a penalty has decayed below the release, in whole milliseconds. */
const msToRelease = (penalty: number, { halfLifeMs, releaseBelow }: FlapPolicy): number =>
  Math.max(0, Math.ceil(halfLifeMs * Math.log2(penalty / releaseBelow)))

const released = (flapping: Flapping, now: number): boolean =>
  flapping.held !== null && Date.parse(flapping.held.until) <= now

export interface FlapInput {
  /** What was remembered; null: nothing. */
  readonly before: Flapping | null
  /** What the evidence said before, where nothing was remembered. */
  readonly seen: EvidenceVerdict
  /** What it says now. */
  readonly verdict: EvidenceVerdict
  /** Whether a change counts: not while an operator's word stands, nor when an instance is registered anew. */
  readonly counts: boolean
  /** Milliseconds since the epoch, Postgres time. */
  readonly now: number
  readonly policy: FlapPolicy
}

/**
 * What is remembered after the evidence was looked at. To and from `unknown` is no change: it is missing knowledge,
 * not another health. Pure.
 */
export const afterVerdict = ({ before, seen, verdict, counts, now, policy }: FlapInput): Flapping | null => {
  const last = before?.seen ?? seen
  const changed = counts && last !== verdict && last !== 'unknown' && verdict !== 'unknown'
  if (!changed) {
    if (before === null) return null
    // An instance that comes back from `unknown` is compared with what was known.
    const known = verdict === 'unknown' ? before.seen : verdict
    if (before.held === null || released(before, now)) {
      if (decayed(before, now, policy) < forgottenBelow) return null
      return before.held === null && known === before.seen ? before : { ...before, seen: known, held: null }
    }
    // What came while changes did not count, and still stands.
    const worst = counts ? worse(before.held.verdict, known) : before.held.verdict
    if (known === before.seen && worst === before.held.verdict) return before
    return { ...before, seen: known, held: { ...before.held, verdict: worst } }
  }
  const ceiling = policy.releaseBelow * 2 ** (policy.maxHoldMs / policy.halfLifeMs)
  const penalty = Math.min(ceiling, (before === null ? 0 : decayed(before, now, policy)) + 1)
  const at = new Date(now).toISOString()
  const held = before === null || released(before, now) ? null : before.held
  if (held === null && penalty < policy.holdAt) return { penalty, at, seen: verdict, held: null }
  return {
    penalty,
    at,
    seen: verdict,
    held: {
      verdict: worse(held?.verdict ?? last, verdict),
      since: held?.since ?? at,
      until: new Date(now + msToRelease(penalty, policy)).toISOString(),
    },
  }
}
