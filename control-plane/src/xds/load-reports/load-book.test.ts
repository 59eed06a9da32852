import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ManualClock } from '../../../test/support/manual-clock.ts'
import { LoadBook, type LoadBookLimits } from './load-book.ts'
import type { ClusterReport, LoadReporter } from './load-report.ts'

const reporter = (id: string): LoadReporter => ({
  id,
  cluster: id.split('/')[0] ?? '',
  locality: { region: '', zone: 'z1' },
})
const counts = (issued: number, failed = 0, inProgress = 0) => ({
  issued,
  succeeded: issued - failed,
  failed,
  inProgress,
})
const cluster = (name: string, endpoints: Record<string, ReturnType<typeof counts>>): ClusterReport => ({
  cluster: name,
  intervalMs: 1_000,
  dropped: 0,
  ...Object.values(endpoints).reduce(
    (sum, one) => counts(sum.issued + one.issued, sum.failed + one.failed),
    counts(0),
  ),
  endpoints: Object.entries(endpoints).map(([address, one]) => ({ address, ...one, metrics: new Map() })),
})
const bookWith = (limits: Partial<LoadBookLimits> = {}) => {
  const clock = new ManualClock()
  const book = new LoadBook({ clock, limits })
  const add = (id: string, ...clusters: ClusterReport[]) => {
    book.add(reporter(id), { clusters, absurd: 0 })
  }
  const endpoints = (id: string, name: string) =>
    Object.fromEntries(
      [...(book.reporter(id)?.clusters() ?? [])]
        .filter(one => one.cluster === name)
        .flatMap(one => [...one.endpoints()])
        .map(({ address, total, last }) => [address, { total, last }]),
    )
  return { clock, book, add, endpoints }
}

test('reports add up per reporter and endpoint; the window is of the last report alone', () => {
  const { add, endpoints } = bookWith()
  add('web/1', cluster('payments', { 'a:1': counts(10, 2, 3), 'b:1': counts(5) }))
  add('web/2', cluster('payments', { 'a:1': counts(7) }))
  add('web/1', cluster('payments', { 'a:1': counts(1) }))
  expect(endpoints('web/1', 'payments')).toEqual({
    'b:1': { total: counts(5), last: counts(0) },
    'a:1': { total: counts(11, 2), last: counts(1) },
  })
  expect(endpoints('web/2', 'payments')).toEqual({ 'a:1': { total: counts(7), last: counts(7) } })
})

test('an endpoint in two localities of one report is the sum of both', () => {
  const { add, endpoints } = bookWith()
  const twice = cluster('payments', { 'a:1': counts(10) })
  add('web/1', { ...twice, endpoints: [...twice.endpoints, ...twice.endpoints] })
  expect(endpoints('web/1', 'payments')['a:1']?.last).toEqual(counts(20))
})

test('totals stay at the largest whole number', () => {
  const { add, endpoints } = bookWith()
  const most = Number.MAX_SAFE_INTEGER
  add('web/1', cluster('payments', { 'a:1': counts(most) }))
  add('web/1', cluster('payments', { 'a:1': counts(most) }))
  expect(endpoints('web/1', 'payments')['a:1']?.total.issued).toBe(most)
})

test('who was not heard of for long is forgotten: endpoint, cluster, reporter', async () => {
  const { clock, book, add, endpoints } = bookWith({ forgetMs: 1_000 })
  add(
    'web/1',
    cluster('payments', { 'a:1': counts(1), 'b:1': counts(1) }),
    cluster('old', { 'c:1': counts(1) }),
  )
  add('web/2', cluster('payments', { 'a:1': counts(1) }))
  await clock.advance(999)
  expect([...book.clusters()]).toEqual(['payments', 'old'])
  await clock.advance(2)
  add('web/1', cluster('payments', { 'b:1': counts(1) }))
  expect(Object.keys(endpoints('web/1', 'payments'))).toEqual(['b:1'])
  expect([...book.clusters()]).toEqual(['payments'])
  expect(book.reporter('web/2')).toBeUndefined()
  expect(book.size).toEqual({ reporters: 1, entries: 2, evicted: 0 })
})

test('a listener is told what came, after it was written down', () => {
  const { book, add } = bookWith()
  const told: unknown[] = []
  const end = book.onReport(({ id }, { clusters }) => {
    told.push([id, clusters.length, book.reporter(id)?.reports])
  })
  add('web/1', cluster('payments', { 'a:1': counts(1) }))
  end()
  add('web/1')
  expect(told).toEqual([['web/1', 1, 1]])
})

test('whatever comes, the book stays within its limits, and its index and size are true', async () => {
  const limits = { maxReporters: 3, maxEntriesOfReporter: 6, maxEntries: 14, forgetMs: 50 }
  const step = fc.record({
    node: fc.constantFrom('a/1', 'b/1', 'c/1', 'd/1', 'e/1'),
    wait: fc.nat(30),
    clusters: fc.uniqueArray(
      fc.record({
        name: fc.constantFrom('x', 'y', 'z'),
        addresses: fc.uniqueArray(fc.constantFrom('1:1', '2:1', '3:1', '4:1'), { maxLength: 4 }),
      }),
      { selector: ({ name }) => name },
    ),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async steps => {
      const { clock, book, add } = bookWith(limits)
      for (const { node, wait, clusters } of steps) {
        await clock.advance(wait)
        add(
          node,
          ...clusters.map(({ name, addresses }) =>
            cluster(name, Object.fromEntries(addresses.map(address => [address, counts(1)]))),
          ),
        )
        const { reporters, entries } = book.size
        expect(reporters).toBeLessThanOrEqual(limits.maxReporters)
        expect(entries).toBeLessThanOrEqual(limits.maxEntries)
        const indexed = [...book.clusters()].flatMap(name => [...book.ofCluster(name)])
        let counted = 0
        for (const one of indexed) counted += 1 + [...one.endpoints()].length
        expect(counted).toBe(entries)
        for (const one of indexed) {
          const all = book.reporter(one.reporter.reporter.id)
          expect([...(all?.clusters() ?? [])]).toContain(one)
        }
      }
    }),
  )
})
