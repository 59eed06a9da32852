import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { afterVerdict, defaultFlapPolicy as policy, worse, type Flapping } from './flapping.ts'
import type { EvidenceVerdict } from './verdict.ts'

const start = Date.parse('2026-03-01T12:00:00.000Z')
const ranks: readonly EvidenceVerdict[] = ['unknown', 'healthy', 'degraded', 'unhealthy']

interface Look {
  readonly verdict: EvidenceVerdict
  /** Milliseconds after the look before. */
  readonly after: number
  readonly counts: boolean
}

/** The memory after each look, and when that was. */
const follow = (looks: readonly Look[]): { readonly now: number; readonly flapping: Flapping | null }[] => {
  let now = start
  let before: Flapping | null = null
  let seen: EvidenceVerdict = 'healthy'
  return looks.map(({ verdict, after, counts }) => {
    now += after
    before = afterVerdict({ before, seen, verdict, counts, now, policy })
    seen = verdict
    return { now, flapping: before }
  })
}
const last = (looks: readonly Look[]): Flapping | null => follow(looks).at(-1)?.flapping ?? null

/** Changes of verdict, one every `everyMs`. */
const changes = (count: number, everyMs: number): Look[] =>
  Array.from({ length: count }, (_, index) => ({
    verdict: index % 2 === 0 ? ('unhealthy' as const) : ('healthy' as const),
    after: everyMs,
    counts: true,
  }))

const anyLook = fc.record({
  verdict: fc.constantFrom(...ranks),
  after: fc.oneof(fc.nat({ max: 5_000 }), fc.nat({ max: 1_000_000 })),
  counts: fc.boolean(),
})
/** Anything, often after enough quick changes to be held. */
const anyLooks = fc
  .tuple(fc.nat({ max: 12 }), fc.array(anyLook, { maxLength: 20 }), fc.nat({ max: 12 }))
  .map(([first, looks, then]) => [...changes(first, 500), ...looks, ...changes(then, 500)])

describe('flap damping', () => {
  it('holds at the sixth change in a row, at the worse verdict', () => {
    expect(last(changes(5, 0))).toMatchObject({ penalty: 5, held: null })
    expect(last(changes(6, 0))).toMatchObject({ penalty: 6, seen: 'healthy', held: { verdict: 'unhealthy' } })
  })

  it('lets go when the penalty has halved twice from twelve to three', () => {
    const held = last(changes(12, 0))?.held
    expect(held?.until).toBe(new Date(start + 2 * policy.halfLifeMs).toISOString())
  })

  it('never holds what changes slowly, however long', () => {
    // A sum of 1 / (1 - 2^(-t/h)) stays below holdAt.
    const slow = Math.ceil(-policy.halfLifeMs * Math.log2(1 - 1 / policy.holdAt)) + 1
    expect(slow).toBeLessThan(35_000)
    for (const { flapping } of follow(changes(500, slow))) expect(flapping?.held).toBeNull()
    expect(last(changes(500, slow - 1_000))?.held).not.toBeNull()
  })

  it('remembers nothing of an instance that never changes', () => {
    const same = fc.array(
      fc.record({ verdict: fc.constant('healthy' as const), after: fc.nat(), counts: fc.boolean() }),
    )
    fc.assert(
      fc.property(same, looks => {
        for (const { flapping } of follow(looks)) expect(flapping).toBeNull()
      }),
    )
  })

  it('does not count what is not known', () => {
    const looks = changes(40, 1_000).map(look =>
      look.verdict === 'unhealthy' ? { ...look, verdict: 'unknown' as const } : look,
    )
    expect(last(looks)).toBeNull()
  })

  it('does not count while it should not, and counts on from there', () => {
    const quiet = changes(40, 0).map(look => ({ ...look, counts: false }))
    expect(last(quiet)).toBeNull()
    // healthy at the end of `quiet`: unhealthy is a change.
    expect(last([...quiet, ...changes(1, 0)])).toMatchObject({ penalty: 1 })
  })

  it('is held at what came while it did not count, if that still stands afterwards', () => {
    const looks = changes(6, 0).map(look =>
      look.verdict === 'unhealthy' ? { ...look, verdict: 'degraded' as const } : look,
    )
    const silently = { verdict: 'unhealthy' as const, after: 0, counts: false }
    expect(last(looks)?.held).toMatchObject({ verdict: 'degraded' })
    expect(last([...looks, silently])?.held).toMatchObject({ verdict: 'degraded' })
    expect(last([...looks, silently, { ...silently, counts: true }])?.held).toMatchObject({
      verdict: 'unhealthy',
    })
  })

  it('is held at the worst that was seen since it is held, and only until the time it names', () => {
    fc.assert(
      fc.property(anyLooks, looks => {
        let held: Flapping['held'] = null
        follow(looks).forEach(({ now, flapping }, index) => {
          const next = flapping?.held ?? null
          if (next !== null) {
            const said = looks[index]?.verdict ?? 'unknown'
            // A hold that is over is not remembered: a review at its end finds none.
            expect(Date.parse(next.until)).toBeGreaterThanOrEqual(now)
            expect(Date.parse(next.until) - now).toBeLessThanOrEqual(policy.maxHoldMs)
            if (held?.since === next.since) expect(worse(next.verdict, held.verdict)).toBe(next.verdict)
            if (looks[index]?.counts === true) expect(worse(next.verdict, said)).toBe(next.verdict)
            expect(['degraded', 'unhealthy']).toContain(next.verdict)
          }
          held = next
        })
      }),
    )
  })

  it('ends by itself: at the time a hold names, the instance is let go', () => {
    fc.assert(
      fc.property(anyLooks, looks => {
        const flapping = last(looks)
        fc.pre(flapping !== null && flapping.held !== null)
        const { seen } = flapping
        const now = Date.parse(flapping.held.until)
        const input = { before: flapping, seen, verdict: seen, counts: true, policy }
        expect(afterVerdict({ ...input, now: now - 1 })?.held ?? null).not.toBeNull()
        expect(afterVerdict({ ...input, now })?.held ?? null).toBeNull()
      }),
    )
  })

  it('has a penalty between nothing and its ceiling', () => {
    const ceiling = policy.releaseBelow * 2 ** (policy.maxHoldMs / policy.halfLifeMs)
    fc.assert(
      fc.property(anyLooks, looks => {
        for (const { flapping } of follow(looks)) {
          expect(flapping?.penalty ?? 1).toBeGreaterThan(0)
          expect(flapping?.penalty ?? 1).toBeLessThanOrEqual(ceiling)
        }
      }),
    )
    expect(last(changes(10_000, 0))?.penalty).toBeCloseTo(ceiling)
  })
})
