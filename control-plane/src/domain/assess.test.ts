import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { assess, type AssessInput, type Assessment } from './assess.ts'
import type { Evidence, EvidenceSource, EvidenceStatus } from './evidence.ts'
import { defaultFlapPolicy } from './flapping.ts'
import type { Override } from './verdict.ts'

const start = Date.parse('2026-03-01T12:00:00.000Z')
const at = (ms: number): string => new Date(start + ms).toISOString()

const evidence = (
  status: EvidenceStatus,
  validUntil: string | null = null,
  source: EvidenceSource = 'check:0',
): Evidence => ({ source, observer: 'a', status, output: '', observedAt: at(0), validUntil, since: at(0) })

const override = (overrides: Partial<Override> = {}): Override => ({
  status: 'maintenance',
  reason: '',
  leaving: false,
  actor: 'test',
  since: at(0),
  expiresAt: null,
  ...overrides,
})

type State = Assessment & Pick<AssessInput, 'evidence' | 'override'>
const look = (
  before: State | null,
  known: Pick<AssessInput, 'evidence' | 'override'>,
  now: number,
): State => ({
  ...known,
  ...assess({ ...known, before, now: start + now, flapPolicy: defaultFlapPolicy }),
})

/** Goes from passing to critical and back, a change a second, of one source. */
const flap = (count: number, source: EvidenceSource): State => {
  let state = look(null, { evidence: [evidence('passing', null, source)], override: null }, 0)
  for (let index = 1; index <= count; index += 1) {
    const status = index % 2 === 1 ? 'critical' : 'passing'
    state = look(state, { evidence: [evidence(status, null, source)], override: null }, index * 1_000)
  }
  return state
}

describe('an assessment', () => {
  it('holds an instance that flaps at its worse verdict, and says until when', () => {
    const state = flap(8, 'check:0')
    expect(state.verdict).toBe('unhealthy')
    expect(state.flapping?.seen).toBe('healthy')
    expect(state.reviewAt).toBe(state.flapping?.held?.until)
    const end = Date.parse(state.reviewAt ?? '') - start
    const { evidence: said } = state
    expect(look(state, { evidence: said, override: null }, end - 1).verdict).toBe('unhealthy')
    expect(look(state, { evidence: said, override: null }, end)).toMatchObject({
      verdict: 'healthy',
      reviewAt: null,
    })
  })

  it('does not hold what comes back by the rules for traffic', () => {
    expect(flap(40, 'traffic')).toMatchObject({ verdict: 'healthy', flapping: null })
  })

  it('puts an override before a hold', () => {
    const state = flap(8, 'check:0')
    expect(look(state, { evidence: state.evidence, override: override() }, 9_000).verdict).toBe('maintenance')
  })

  it('does not count what happens under an override', () => {
    let state = look(null, { evidence: [evidence('passing')], override: override() }, 0)
    for (let index = 1; index < 40; index += 1) {
      const status = index % 2 === 1 ? 'critical' : 'passing'
      state = look(state, { evidence: [evidence(status)], override: override() }, index)
    }
    expect(look(state, { evidence: [evidence('passing')], override: null }, 50)).toMatchObject({
      verdict: 'healthy',
      flapping: null,
    })
  })

  it('is due for review at the first moment at which something ends, and never in the past', () => {
    const time = fc.oneof(fc.constant(null), fc.integer({ min: -10, max: 10 }).map(at))
    fc.assert(
      fc.property(fc.array(time, { maxLength: 4 }), time, (ends, expiresAt) => {
        const known = {
          evidence: ends.map((end, index) => evidence('passing', end, `check:${index}`)),
          override: override({ expiresAt }),
        }
        const ahead = [...ends, expiresAt].filter(end => end !== null && end > at(0)).sort()
        expect(look(null, known, 0).reviewAt).toBe(ahead[0] ?? null)
      }),
    )
  })

  it('changes nothing between two reviews: only a review or news can change a verdict', () => {
    const anyEvidence = fc.record({
      status: fc.constantFrom<EvidenceStatus>('passing', 'warning', 'critical'),
      end: fc.oneof(fc.constant(null), fc.integer({ min: 1, max: 100 }).map(at)),
    })
    fc.assert(
      fc.property(fc.array(anyEvidence, { maxLength: 4 }), fc.nat({ max: 200 }), (pieces, later) => {
        const known = {
          evidence: pieces.map(({ status, end }, index) => evidence(status, end, `check:${index}`)),
          override: null,
        }
        const state = look(null, known, 0)
        fc.pre(state.reviewAt === null || at(later) < state.reviewAt)
        expect(look(state, known, later)).toEqual(state)
      }),
    )
  })
})
