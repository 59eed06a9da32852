import type { Evidence } from './evidence.ts'
import { afterVerdict, worse, type Flapping, type FlapPolicy } from './flapping.ts'
import { evidenceVerdict, type Override, type Verdict } from './verdict.ts'

/** What is known of an instance. */
export interface Known {
  readonly evidence: readonly Evidence[]
  readonly override: Override | null
}

export interface AssessInput extends Known {
  /** The instance as it was; null: it is new, or was registered as another. */
  readonly before: (Known & { readonly flapping: Flapping | null }) | null
  /** Milliseconds since the epoch, Postgres time. */
  readonly now: number
  /** null: verdicts are not damped. */
  readonly flapPolicy: FlapPolicy | null
}

/** What follows from what is known. */
export interface Assessment {
  readonly verdict: Verdict
  readonly flapping: Flapping | null
  /** When it has to be looked at again though nobody says anything new; ISO 8601. */
  readonly reviewAt: string | null
}

/** Evidence by traffic does not count as flapping: it comes back step by step and later each time, by its own rules. */
const damped = (evidence: readonly Evidence[]): readonly Evidence[] =>
  evidence.some(({ source }) => source === 'traffic')
    ? evidence.filter(({ source }) => source !== 'traffic')
    : evidence

/** The earlier one of those that are ahead. */
const earlier = (one: string | null, other: string | null, now: number): string | null =>
  other !== null && Date.parse(other) > now && (one === null || other < one) ? other : one

/**
 * The verdict on an instance: the override, or the worst valid evidence, but while the instance is held for flapping
 * nothing better than it is held at. Pure; everything that writes an instance goes through it.
 */
export const assess = ({ evidence, override, before, now, flapPolicy }: AssessInput): Assessment => {
  const said = evidenceVerdict(evidence, now)
  const flapping =
    flapPolicy === null
      ? null
      : afterVerdict({
          before: before?.flapping ?? null,
          seen: before === null ? 'unknown' : evidenceVerdict(damped(before.evidence), now),
          verdict: evidenceVerdict(damped(evidence), now),
          counts: before !== null && before.override === null && override === null,
          now,
          policy: flapPolicy,
        })
  const held = flapping?.held ?? null
  const verdict = override?.status ?? (held === null ? said : worse(held.verdict, said))
  let reviewAt = earlier(null, override?.expiresAt ?? null, now)
  reviewAt = earlier(reviewAt, held?.until ?? null, now)
  for (const { validUntil } of evidence) reviewAt = earlier(reviewAt, validUntil, now)
  return { verdict, flapping, reviewAt }
}
