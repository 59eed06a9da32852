import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Evidence, EvidenceStatus } from './evidence.ts'
import { assess, type Known } from './assess.ts'
import type { Override, Verdict } from './verdict.ts'

const verdictOf = (known: Known, time: number): Verdict =>
  assess({ ...known, before: null, now: time, flapPolicy: null }).verdict

const now = Date.parse('2026-03-01T12:00:00.000Z')
const at = (offsetMs: number): string => new Date(now + offsetMs).toISOString()

const evidenceOf = (status: EvidenceStatus, validUntil: string | null, index = 0): Evidence => ({
  source: `check:${index}`,
  observer: 'a',
  status,
  output: '',
  observedAt: at(-1_000),
  validUntil,
  since: at(-1_000),
})

const override = (status: Override['status']): Override => ({
  status,
  reason: 'because',
  leaving: false,
  actor: 'test',
  since: at(-5_000),
  expiresAt: null,
})

const statuses: readonly EvidenceStatus[] = ['passing', 'warning', 'critical']
const verdictOfStatus: Readonly<Record<EvidenceStatus, Verdict>> = {
  passing: 'healthy',
  warning: 'degraded',
  critical: 'unhealthy',
}
/** null: valid until replaced; the boundary itself is no longer valid. */
const validities = [
  { validUntil: null, valid: true },
  { validUntil: at(1), valid: true },
  { validUntil: at(0), valid: false },
  { validUntil: at(-1), valid: false },
] as const

const anyEvidence = fc
  .record({ status: fc.constantFrom(...statuses), validity: fc.constantFrom(...validities) })
  .map(({ status, validity }) => evidenceOf(status, validity.validUntil))
const anyView = fc.record({
  evidence: fc.array(anyEvidence, { maxLength: 6 }),
  override: fc.constantFrom(null, override('maintenance'), override('draining')),
})

describe('the verdict', () => {
  it('is unknown without evidence', () => {
    expect(verdictOf({ evidence: [], override: null }, now)).toBe('unknown')
  })

  it.each(statuses.flatMap(status => validities.map(validity => ({ status, ...validity }))))(
    'follows one piece of evidence: $status valid until $validUntil',
    ({ status, validUntil, valid }) => {
      expect(verdictOf({ evidence: [evidenceOf(status, validUntil)], override: null }, now)).toBe(
        valid ? verdictOfStatus[status] : 'unknown',
      )
    },
  )

  it('is the worst of the valid evidence for every triple', () => {
    const pieces = statuses.flatMap(status => validities.map(validity => ({ status, ...validity })))
    const rank: readonly Verdict[] = ['unknown', 'healthy', 'degraded', 'unhealthy']
    for (const a of pieces) {
      for (const b of pieces) {
        for (const c of pieces) {
          const evidence = [a, b, c].map(({ status, validUntil }, index) =>
            evidenceOf(status, validUntil, index),
          )
          const worst = Math.max(
            ...[a, b, c].map(({ status, valid }) => (valid ? rank.indexOf(verdictOfStatus[status]) : 0)),
          )
          expect(verdictOf({ evidence, override: null }, now)).toBe(rank[worst])
        }
      }
    }
  })

  it.each(['maintenance', 'draining'] as const)('is %s by override, whatever the evidence says', status => {
    fc.assert(
      fc.property(fc.array(anyEvidence), evidence => {
        expect(verdictOf({ evidence, override: override(status) }, now)).toBe(status)
      }),
    )
  })

  it('does not depend on the order of the evidence', () => {
    fc.assert(
      fc.property(anyView, fc.infiniteStream(fc.nat()), (view, picks) => {
        const keyed = view.evidence.map(piece => ({ piece, key: picks.next().value as number }))
        const shuffled = keyed.sort((a, b) => a.key - b.key).map(({ piece }) => piece)
        expect(verdictOf({ ...view, evidence: shuffled }, now)).toBe(verdictOf(view, now))
      }),
    )
  })

  it('never gets better by further valid evidence, once there is some', () => {
    const rank: readonly Verdict[] = ['healthy', 'degraded', 'unhealthy', 'draining', 'maintenance']
    fc.assert(
      fc.property(anyView, fc.constantFrom(...statuses), (view, status) => {
        const before = verdictOf(view, now)
        fc.pre(before !== 'unknown')
        const after = verdictOf({ ...view, evidence: [...view.evidence, evidenceOf(status, null)] }, now)
        expect(rank.indexOf(after)).toBeGreaterThanOrEqual(rank.indexOf(before))
      }),
    )
  })

  it('loses evidence as time passes and gains none', () => {
    fc.assert(
      fc.property(anyView, fc.nat({ max: 10 }), (view, later) => {
        const valid = view.evidence.filter(
          ({ validUntil }) => validUntil === null || Date.parse(validUntil) > now + later,
        )
        expect(verdictOf(view, now + later)).toBe(verdictOf({ ...view, evidence: valid }, now))
      }),
    )
  })
})
