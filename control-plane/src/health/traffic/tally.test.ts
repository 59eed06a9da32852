import fc from 'fast-check'
import { describe, expect, it, test } from 'vitest'
import type { Counts } from './counts.ts'
import { mergeTallies, noTally, speaksAgainst, tallyService, type ReporterView } from './tally.ts'

const counts = fc.record({ ok: fc.nat(200), failed: fc.nat(200) })
const instanceIds = ['a', 'b', 'c', 'd'] as const
const windows = fc
  .dictionary(fc.constantFrom(...instanceIds), counts)
  .map(all => new Map(Object.entries(all)))
const views = fc
  .array(windows, { maxLength: 12 })
  .map(all => all.map((one, index): ReporterView => ({ reporter: `web/${index}`, windows: one })))

const view = (reporter: string, seen: Record<string, Counts>): ReporterView => ({
  reporter,
  windows: new Map(Object.entries(seen)),
})

describe('speaksAgainst', () => {
  const elsewhere = { ok: 20, failed: 0 }

  it('asks for the share of failures that the service has set', () => {
    expect(speaksAgainst({ own: { ok: 1, failed: 1 }, elsewhere }, 50)).toBe(true)
    expect(speaksAgainst({ own: { ok: 3, failed: 2 }, elsewhere }, 50)).toBe(false)
  })

  it('counts a sidecar that calls no other instance, and none that has stopped to call', () => {
    expect(speaksAgainst({ own: { ok: 0, failed: 2 }, elsewhere: { ok: 0, failed: 0 } }, 50)).toBe(true)
    expect(speaksAgainst({ own: { ok: 0, failed: 0.4 }, elsewhere }, 50)).toBe(false)
  })

  test('a sidecar that fails as often elsewhere speaks against nobody', () => {
    fc.assert(
      fc.property(
        counts,
        fc.integer({ min: 1, max: 50 }),
        fc.integer({ min: 1, max: 100 }),
        (own, n, percent) => {
          fc.pre(own.ok + own.failed > 0)
          const same = { ok: own.ok * n, failed: own.failed * n }
          expect(speaksAgainst({ own, elsewhere: same }, percent)).toBe(false)
        },
      ),
    )
  })
})

describe('tallyService', () => {
  it('has the instances that somebody speaks against, and those that were asked for', () => {
    const seen = [
      view('web/1', { a: { ok: 0, failed: 3 }, b: { ok: 5, failed: 0 }, c: { ok: 4, failed: 0 } }),
      view('web/2', { a: { ok: 2, failed: 0 }, c: { ok: 1, failed: 0 } }),
    ]
    const tally = tallyService({ views: seen, failurePercent: 50, wanted: new Set(['c']) })
    expect([...tally.keys()]).toEqual(['a', 'c'])
    expect(tally.get('a')).toEqual({
      ok: 2,
      failed: 3,
      reporters: 2,
      against: 1,
      worst: [{ reporter: 'web/1', ok: 0, failed: 3, elsewhere: { ok: 9, failed: 0 } }],
    })
    expect(tally.get('c')).toMatchObject({ ok: 5, reporters: 2, against: 0 })
  })

  test('nobody is counted twice, and no more speak against an instance than call it', () => {
    fc.assert(
      fc.property(views, seen => {
        for (const [id, tally] of tallyService({
          views: seen,
          failurePercent: 50,
          wanted: new Set(instanceIds),
        })) {
          expect(tally.against).toBeLessThanOrEqual(tally.reporters)
          expect(tally.reporters).toBeLessThanOrEqual(seen.filter(({ windows: all }) => all.has(id)).length)
          expect(tally.worst.length).toBe(Math.min(16, tally.against))
        }
      }),
    )
  })
})

describe('mergeTallies', () => {
  const all = (seen: readonly ReporterView[], id: string) =>
    tallyService({ views: seen, failurePercent: 50, wanted: new Set(instanceIds) }).get(id) ?? noTally

  test('what replicas hand over is worth the same however the sidecars are spread', () => {
    fc.assert(
      fc.property(views, fc.nat(12), fc.constantFrom(...instanceIds), (seen, at, id) => {
        const whole = mergeTallies([all(seen, id)])
        const halves = [all(seen.slice(0, at), id), all(seen.slice(at), id)]
        expect(mergeTallies(halves)).toEqual(whole)
        expect(mergeTallies(halves.toReversed())).toEqual(whole)
      }),
    )
  })

  test('a sidecar that hops from replica to replica stays one voice', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 10 }), replicas => {
        const one = all([view('web/1', { a: { ok: 0, failed: 5 }, b: { ok: 5, failed: 0 } })], 'a')
        const merged = mergeTallies(Array.from({ length: replicas }, () => one))
        expect(merged).toMatchObject({ reporters: 1, against: 1, failed: 5 * replicas })
      }),
    )
  })
})
