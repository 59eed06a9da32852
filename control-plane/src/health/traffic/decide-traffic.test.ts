import { defaultPassiveHealth, passiveHealthOf } from '@waymark/sidecar-config/model/passive-health.ts'
import fc from 'fast-check'
import { describe, expect, it, test } from 'vitest'
import type { TrafficHold } from '../../domain/traffic-hold.ts'
import {
  decideTraffic,
  ejectionLimit,
  ejectionMs,
  quorumOf,
  type TrafficInput,
  type TrafficSubject,
} from './decide-traffic.ts'
import { failureShare } from './counts.ts'
import { noTally, tallyService, type InstanceTally } from './tally.ts'

const settings = passiveHealthOf({})
const now = Date.parse('2026-11-21T15:00:00.000Z')
const iso = (ms: number) => new Date(ms).toISOString()

const subject = (id: string, more: Partial<TrafficSubject> = {}): TrafficSubject => ({
  id,
  hold: null,
  present: true,
  routable: true,
  ...more,
})

const tallyOf = (more: Partial<InstanceTally>): InstanceTally => ({ ...noTally, ...more })
const failing = tallyOf({ ok: 0, failed: 20, reporters: 4, against: 4 })
const fine = tallyOf({ ok: 20, failed: 0, reporters: 4, against: 0 })

const decide = (input: Partial<TrafficInput>) =>
  decideTraffic({ now, settings, instances: [], tally: new Map(), ...input })

/** The service after the decisions have been carried out. */
const after = (
  instances: readonly TrafficSubject[],
  { decisions }: ReturnType<typeof decideTraffic>,
): TrafficSubject[] =>
  instances.map(one => {
    const decision = decisions.find(({ id }) => id === one.id)
    if (decision === undefined) return one
    return { ...one, hold: decision.hold, routable: decision.hold?.phase !== 'ejected' }
  })

const ejectedIds = ({ decisions }: ReturnType<typeof decideTraffic>) =>
  decisions.filter(({ hold }) => hold?.phase === 'ejected').map(({ id }) => id)

const held = (phase: TrafficHold['phase'], agoMs: number, level = 1, share = 0): TrafficHold => ({
  phase,
  share,
  level,
  from: iso(now - agoMs),
})

describe('decideTraffic', () => {
  const three = ['a', 'b', 'c'].map(id => subject(id))

  it('ejects an instance that most of its callers see fail, with the figures', () => {
    const worst = [{ reporter: 'web/1', ok: 0, failed: 5, elsewhere: { ok: 30, failed: 1 } }]
    const { decisions } = decide({ instances: three, tally: new Map([['b', { ...failing, worst }]]) })
    expect(decisions).toEqual([
      {
        id: 'b',
        hold: { phase: 'ejected', share: 0, level: 1, from: iso(now) },
        status: 'critical',
        output:
          '4 of 4 sidecars that call it see it fail (web/1, ...): 20 of 20 requests failed lately, of their requests ' +
          'to other instances 1 of 31; ejection 1, tried again at 2026-11-21T15:00:30.000Z',
        validForMs: 90_000,
      },
    ])
  })

  it.each([
    ['too few requests', { ok: 0, failed: 9, reporters: 4, against: 4 }],
    ['one caller alone', { ok: 0, failed: 50, reporters: 1, against: 1 }],
    ['one caller of two', { ok: 0, failed: 50, reporters: 2, against: 1 }],
    [
      'a minority of callers, who make most of the requests',
      { ok: 10, failed: 90, reporters: 10, against: 4 },
    ],
    ['most callers, who make few of the requests', { ok: 90, failed: 10, reporters: 4, against: 3 }],
  ])('leaves an instance alone on the word of %s', (_, tally) => {
    expect(decide({ instances: three, tally: new Map([['b', tallyOf(tally)]]) }).decisions).toEqual([])
  })

  it('tries it again with a tenth of its weight, then with four tenths, then lets it back in', () => {
    let instances = [subject('a'), subject('b', { hold: held('ejected', 0), routable: false })]
    const steps: unknown[] = []
    for (let ms = 0; ms <= 200_000; ms += 1_000) {
      const decided = decide({ now: now + ms, instances, tally: new Map([['b', fine]]) })
      instances = after(instances, decided)
      for (const { hold } of decided.decisions) steps.push([ms / 1_000, hold?.phase, hold?.share])
    }
    expect(steps).toEqual([
      [30, 'trial', 0.1],
      [60, 'trial', 0.4],
      [90, 'readmitted', 1],
    ])
  })

  it('takes twice as long where nobody calls it', () => {
    const trial = (agoMs: number) =>
      decide({ instances: [subject('a'), subject('b', { hold: held('trial', agoMs, 1, 0.1) })] }).decisions
    expect(trial(59_999)).toEqual([])
    expect(trial(60_000)).toMatchObject([{ hold: { phase: 'trial', share: 0.4 } }])
  })

  it('ejects it for twice as long when it fails on trial, on fewer requests', () => {
    const few = tallyOf({ ok: 0, failed: 5, reporters: 2, against: 2 })
    const { decisions } = decide({
      instances: [subject('a'), subject('b', { hold: held('trial', 1_000, 2, 0.1) })],
      tally: new Map([['b', few]]),
    })
    expect(decisions).toMatchObject([{ id: 'b', hold: { phase: 'ejected', level: 3 } }])
    expect(ejectionMs(3, settings)).toBe(120_000)
  })

  it('forgets the ejections of an instance that has been back for long', () => {
    const back = (agoMs: number) =>
      decide({ instances: [subject('a'), subject('b', { hold: held('readmitted', agoMs, 3, 1) })] }).decisions
    expect(back(settings.maxEjectionMs - 1)).toEqual([])
    expect(back(settings.maxEjectionMs)).toEqual([{ id: 'b', hold: null }])
  })

  it('takes everything back where the service wants none of it', () => {
    const { decisions } = decide({
      settings: { ...settings, enabled: false },
      instances: [subject('a', { hold: held('ejected', 0) }), subject('b')],
      tally: new Map([['b', failing]]),
    })
    expect(decisions).toEqual([{ id: 'a', hold: null }])
  })

  it('never ejects the last instance that gets requests, nor one that has left', () => {
    const tally = new Map([['a', failing]])
    const others = [subject('b', { routable: false }), subject('c', { routable: false })]
    expect(decide({ instances: [subject('a'), ...others], tally })).toMatchObject({
      decisions: [],
      spared: ['a'],
    })
    const leaving = subject('a', { present: false })
    expect(decide({ instances: [leaving, subject('b'), subject('c')], tally }).decisions).toEqual([])
  })

  it('lets the one in again that was out for longest when the service becomes smaller', () => {
    const instances = [
      subject('a'),
      subject('b', { hold: held('ejected', 2_000, 3), routable: false }),
      subject('c', { hold: held('ejected', 1_000, 3), routable: false }),
    ]
    expect(decide({ instances }).decisions).toMatchObject([{ id: 'b', hold: { phase: 'trial', level: 3 } }])
  })
})

const phases = fc.constantFrom<TrafficHold['phase'] | null>(
  'ejected',
  'trial',
  'readmitted',
  null,
  null,
  null,
)
const subjects = fc
  .array(
    fc.record({
      phase: phases,
      agoMs: fc.nat(1_000_000),
      level: fc.integer({ min: 1, max: 40 }),
      present: fc.boolean(),
      unwell: fc.boolean(),
    }),
    { maxLength: 12 },
  )
  .map(all =>
    all.map(({ phase, agoMs, level, present, unwell }, index) =>
      subject(`i${index}`, {
        hold: phase === null ? null : held(phase, agoMs, level, phase === 'trial' ? 0.1 : 0),
        present,
        routable: present && phase !== 'ejected' && !unwell,
      }),
    ),
  )
const tallies = fc
  .array(
    fc
      .record({
        ok: fc.nat(50),
        failed: fc.nat(50),
        reporters: fc.integer({ min: 1, max: 9 }),
        of: fc.nat(9),
      })
      .map(({ of, ...tally }) => tallyOf({ ...tally, against: Math.min(of, tally.reporters) })),
    { maxLength: 12 },
  )
  .map(all => new Map(all.map((tally, index) => [`i${index}`, tally])))
const anySettings = fc
  .record({
    maxEjectionPercent: fc.nat(100),
    failurePercent: fc.integer({ min: 1, max: 100 }),
    minReporters: fc.integer({ min: 2, max: 16 }),
  })
  .map(some => passiveHealthOf({ ...defaultPassiveHealth, ...some }))

describe('decideTraffic, whatever comes', () => {
  const cases = { instances: subjects, tally: tallies, settings: anySettings }

  test('never are more out than the cap, and one stays that gets requests', () => {
    fc.assert(
      fc.property(fc.record(cases), input => {
        const decided = decide(input)
        const next = after(input.instances, decided)
        const limit = ejectionLimit(input.instances.filter(({ present }) => present).length, input.settings)
        expect(next.filter(({ hold }) => hold?.phase === 'ejected').length).toBeLessThanOrEqual(limit)
        const fresh = ejectedIds(decided)
        if (fresh.length > 0) expect(next.some(one => one.present && one.routable)).toBe(true)
        const isOut = ({ hold }: TrafficSubject) => hold?.phase === 'ejected' || hold?.phase === 'trial'
        const heldBefore = input.instances.filter(isOut).length
        expect(next.filter(isOut).length).toBeLessThanOrEqual(Math.max(heldBefore, limit))
      }),
    )
  })

  test('the worst go first', () => {
    fc.assert(
      fc.property(fc.record(cases), ({ instances: all, ...input }) => {
        // One whose requests go nowhere now takes no other's place.
        const instances = all.map(one => ({ ...one, present: true, routable: one.hold?.phase !== 'ejected' }))
        const fresh = instances.filter(({ hold }) => hold?.phase !== 'trial').map(({ id }) => id)
        const shares = (ids: readonly string[]) =>
          ids.filter(id => fresh.includes(id)).map(id => failureShare(input.tally.get(id) ?? noTally))
        const decided = decide({ ...input, instances })
        const [out, spared] = [shares(ejectedIds(decided)), shares(decided.spared)]
        expect(Math.min(...out, Infinity)).toBeGreaterThanOrEqual(Math.max(...spared, -Infinity))
      }),
    )
  })

  test('one voice ejects nobody', () => {
    fc.assert(
      fc.property(fc.record(cases), input => {
        const tally = new Map(
          [...input.tally].map(([id, one]) => [id, { ...one, against: Math.min(1, one.against) }]),
        )
        expect(ejectedIds(decide({ ...input, tally }))).toEqual([])
      }),
    )
  })

  test('what was decided stays decided until something happens', () => {
    fc.assert(
      fc.property(fc.record(cases), input => {
        const { decisions } = decide(input)
        // Who comes back leaves room for another.
        fc.pre(decisions.every(({ hold }) => hold?.phase === 'ejected'))
        const next = after(input.instances, { decisions, spared: [] })
        // What was seen of an instance before is forgotten when its state changes.
        const tally = new Map([...input.tally].filter(([id]) => !decisions.some(one => one.id === id)))
        expect(decide({ ...input, instances: next, tally }).decisions).toEqual([])
      }),
    )
  })

  test('without failures everybody comes back', () => {
    fc.assert(
      fc.property(subjects, anySettings, (instances, some) => {
        let state: readonly TrafficSubject[] = instances
        let at = now
        for (let step = 0; step < 20; step += 1) {
          state = after(state, decide({ now: at, settings: some, instances: state }))
          at += some.maxEjectionMs
        }
        expect(state.every(({ hold }) => hold === null)).toBe(true)
      }),
    )
  })
})

describe('quorumOf', () => {
  test('is never one, and at least the share of the callers', () => {
    fc.assert(
      fc.property(fc.nat(10_000), anySettings, (reporters, some) => {
        const quorum = quorumOf(reporters, some)
        expect(quorum).toBeGreaterThanOrEqual(2)
        expect(quorum * 100).toBeGreaterThanOrEqual(reporters * some.reporterPercent)
        expect(quorum).toBeLessThanOrEqual(
          Math.max(2, some.minReporters, Math.ceil((reporters * some.reporterPercent) / 100)),
        )
      }),
    )
  })
})

describe('votes and decision together', () => {
  const callers = fc.integer({ min: 3, max: 20 })
  const ids = ['a', 'b', 'c', 'd']
  const instances = ids.map(id => subject(id))
  const ofEach = (count: number, seen: (reporter: number, id: string) => { ok: number; failed: number }) =>
    Array.from({ length: count }, (_, reporter) => ({
      reporter: `web/${reporter}`,
      windows: new Map(ids.map(id => [id, seen(reporter, id)])),
    }))
  const outcome = (views: ReturnType<typeof ofEach>) =>
    ejectedIds(decide({ instances, tally: tallyService({ views, failurePercent: 50 }) }))

  test('an instance that fails everybody is out, however little each caller sees of it', () => {
    fc.assert(
      fc.property(callers, fc.integer({ min: 4, max: 50 }), (count, requests) => {
        const views = ofEach(count, (_, id) =>
          id === 'b' ? { ok: 0, failed: requests } : { ok: requests, failed: 0 },
        )
        expect(outcome(views)).toEqual(['b'])
      }),
    )
  })

  test('a caller whose requests fail everywhere, or only here, drains nobody', () => {
    fc.assert(
      fc.property(
        callers,
        fc.integer({ min: 1, max: 10_000 }),
        fc.boolean(),
        (count, requests, everywhere) => {
          const views = ofEach(count, (reporter, id) =>
            reporter === 0 && (everywhere || id === 'b') ? { ok: 0, failed: requests } : { ok: 5, failed: 0 },
          )
          expect(outcome(views)).toEqual([])
        },
      ),
    )
  })

  test('what breaks all instances alike drains none', () => {
    fc.assert(
      fc.property(callers, fc.integer({ min: 1, max: 100 }), (count, requests) => {
        expect(outcome(ofEach(count, () => ({ ok: 0, failed: requests })))).toEqual([])
      }),
    )
  })
})
