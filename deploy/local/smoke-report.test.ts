import { expect, test } from 'vitest'
import { countsSince, type LoadCounts } from './load.ts'
import { describeFailures, judgeFailures, renderReport } from './smoke-report.ts'
import { plainPaint } from './table.ts'

const counts = (values: Partial<LoadCounts>): LoadCounts => ({
  sent: 10,
  ok: 10,
  failed: 0,
  skipped: 0,
  byInstance: new Map(),
  failures: new Map(),
  ...values,
})

test('failed requests beyond the bound, and silence, are problems', () => {
  expect(judgeFailures(counts({}), 0)).toEqual([])
  expect(judgeFailures(counts({ failed: 2 }), 2)).toEqual([])
  const failures = new Map([
    ['503', 1],
    ['reset', 2],
  ])
  expect(judgeFailures(counts({ failed: 3, failures }), 2)).toEqual([
    'expected at most 2 failed requests, saw 3: 2 x reset; 1 x 503',
  ])
  expect(judgeFailures(counts({ ok: 0 }), 0)).toEqual(['expected requests to be answered, none was'])
  expect(describeFailures(counts({}))).toBe('')
})

test('the report has a row per chapter and repeats every problem', () => {
  const lines = renderReport(
    [
      { title: 'steady', counts: counts({}), figure: 'all', problems: [] },
      { title: 'outage', counts: null, figure: 'not ours', problems: [] },
      { title: 'death', counts: counts({ failed: 9 }), figure: '', problems: ['too many'] },
    ],
    plainPaint,
  )
  expect(lines.map(line => line.trimEnd())).toEqual([
    '         requests   failed   result',
    'steady   10         0        passed    all',
    'outage   -          -        skipped   not ours',
    'death    10         9        failed',
    '',
    'death: too many',
  ])
})

test('counts of a chapter are what came since its beginning', () => {
  const before = counts({ byInstance: new Map([['a', 4]]), failures: new Map([['503', 1]]) })
  const now = counts({
    sent: 15,
    ok: 14,
    failed: 1,
    byInstance: new Map([
      ['a', 4],
      ['b', 5],
    ]),
    failures: new Map([['503', 3]]),
  })
  expect(countsSince(now, before)).toEqual({
    sent: 5,
    ok: 4,
    failed: 1,
    skipped: 0,
    byInstance: new Map([['b', 5]]),
    failures: new Map([['503', 2]]),
  })
})
