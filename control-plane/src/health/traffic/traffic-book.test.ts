import { passiveHealthOf } from '@waymark/sidecar-config/model/passive-health.ts'
import fc from 'fast-check'
import { describe, expect, it, test } from 'vitest'
import { ManualClock } from '../../../test/support/manual-clock.ts'
import { PureMesh } from '../../../test/support/pure-mesh.ts'
import { context, instanceSpec } from '../../../test/support/specs.ts'
import {
  TrafficBook,
  type ReportedLoads,
  type TrafficBookOptions,
  type TrafficReport,
} from './traffic-book.ts'

const windowMs = passiveHealthOf({}).windowMs
const noLoads: ReportedLoads = { clusters: () => [], ofCluster: () => [] }
const nobody = new Set<string>()

const report = (
  endpoints: Record<string, readonly [ok: number, failed: number]>,
  cluster = 'payments',
): TrafficReport => {
  const all = Object.entries(endpoints).map(([address, [succeeded, failed]]) => ({
    address,
    succeeded,
    failed,
  }))
  return { clusters: [{ cluster, failed: all.reduce((sum, { failed }) => sum + failed, 0), endpoints: all }] }
}

const [addressA, addressB] = ['10.0.0.1:80', '10.0.0.2:15006']

const open = async (options: Partial<TrafficBookOptions> = {}) => {
  const clock = new ManualClock()
  const pure = new PureMesh()
  const specs = {
    a: instanceSpec({ address: '10.0.0.1', port: 80 }),
    b: instanceSpec({ address: '10.0.0.2', port: 80, sidecar: { port: 15_006 } }),
  }
  for (const [id, spec] of Object.entries(specs)) {
    await pure.registry.register({ service: 'payments', id, spec }, context)
  }
  const book = new TrafficBook({ mesh: pure.mesh, loads: noLoads, clock, ...options })
  return { clock, pure, book }
}

describe('TrafficBook', () => {
  it('keeps nothing of a service in which nothing fails, nor of one that is unknown', async () => {
    const { book } = await open()
    book.take('web/1', report({ [addressA]: [100, 0] }))
    book.take('web/1', report({ [addressA]: [0, 5] }, 'elsewhere'))
    expect(book.size).toEqual({ services: 0, entries: 0, evicted: 0 })
    expect(book.takeSuspected()).toEqual([])
  })

  it('knows instances by where callers reach them, also in the clusters of subsets', async () => {
    const { book } = await open()
    book.take('web/1', report({ [addressA]: [5, 0], [addressB]: [0, 2] }))
    book.take('web/1', report({ [addressB]: [0, 1], '10.9.9.9:80': [0, 7] }, 'payments/v2'))
    expect(book.takeSuspected()).toEqual(['payments'])
    const tally = book.tally('payments', nobody)
    expect([...tally.keys()]).toEqual(['b'])
    expect(tally.get('b')).toMatchObject({ ok: 0, failed: 3, reporters: 1, against: 1 })
  })

  it('halves what is one window old, and lets sidecars fade that have stopped to call', async () => {
    const { book, clock } = await open()
    book.take('web/1', report({ [addressB]: [2, 6] }))
    await clock.advance(windowMs)
    expect(book.tally('payments', nobody).get('b')).toMatchObject({ ok: 1, failed: 3, reporters: 1 })
    book.take('web/1', report({ [addressB]: [0, 1] }))
    expect(book.tally('payments', nobody).get('b')).toMatchObject({ ok: 1, failed: 4 })
    await clock.advance(9 * windowMs)
    expect(book.tally('payments', nobody).size).toBe(0)
    book.prune()
    expect(book.size).toMatchObject({ services: 0, entries: 0 })
  })

  it('begins with what every sidecar has last reported, once', async () => {
    const seen = [
      { id: 'web/1', ok: 0, failed: 4 },
      { id: 'web/2', ok: 6, failed: 0 },
    ]
    const clock = new ManualClock()
    const loads: ReportedLoads = {
      clusters: () => ['payments', 'other'],
      ofCluster: () =>
        seen.map(({ id, ok, failed }) => ({
          reporter: { reporter: { id } },
          endpoints: () => [{ address: addressB, at: clock.now(), last: { succeeded: ok, failed } }],
        })),
    }
    const { book } = await open({ loads, clock })
    // The load book has this report already.
    book.take('web/1', report({ [addressB]: [0, 4] }))
    expect(book.tally('payments', nobody).get('b')).toMatchObject({
      ok: 6,
      failed: 4,
      reporters: 2,
      against: 1,
    })
  })

  it('watches a service that somebody asks about, and tells of the instance although nobody speaks against it', async () => {
    const { book } = await open()
    expect(book.tally('payments', new Set(['b'])).size).toBe(0)
    book.take('web/1', report({ [addressA]: [1, 0], [addressB]: [3, 0] }))
    expect([...book.tally('payments', new Set(['b']))]).toMatchObject([
      ['b', { ok: 3, reporters: 1, against: 0 }],
    ])
  })

  it('forgets what was seen of an instance that has become another', async () => {
    const { book, pure } = await open()
    book.take('web/1', report({ [addressA]: [1, 0], [addressB]: [0, 9] }))
    const instance = pure.mesh.instance('payments', 'b')
    if (instance !== undefined) book.forget(instance)
    expect(book.tally('payments', new Set(['b'])).size).toBe(0)
    expect(book.size.entries).toBe(1)
  })

  it('lets go of a service that wants none of it', async () => {
    const { book, pure } = await open()
    book.take('web/1', report({ [addressB]: [0, 9] }))
    const spec = { protocol: 'http', passiveHealth: { enabled: false } }
    await pure.registry.applyDocument({ kind: 'Service', name: 'payments', spec, ifMatch: null }, context)
    expect(book.tally('payments', new Set(['b'])).size).toBe(0)
    book.take('web/1', report({ [addressB]: [0, 9] }))
    expect(book.size.services).toBe(0)
  })

  test('it is bounded, whatever is reported', async () => {
    const { pure } = await open()
    for (const service of ['stock', 'users']) {
      await pure.registry.register({ service, id: 'a', spec: instanceSpec() }, context)
    }
    const reports = fc.array(
      fc.record({
        reporter: fc.nat(20).map(n => `web/${n}`),
        service: fc.constantFrom('payments', 'stock', 'users'),
        ports: fc.uniqueArray(fc.integer({ min: 1, max: 9 }), { maxLength: 4 }),
      }),
      { maxLength: 60 },
    )
    fc.assert(
      fc.property(reports, all => {
        const limits = { maxEntriesOfService: 8, maxEntries: 12 }
        const book = new TrafficBook({ mesh: pure.mesh, loads: noLoads, clock: new ManualClock(), ...limits })
        for (const { reporter, service, ports } of all) {
          book.take(
            reporter,
            report(Object.fromEntries(ports.map(port => [`10.0.0.1:${port}`, [0, 1]])), service),
          )
          expect(book.size.entries).toBeLessThanOrEqual(12)
          expect(book.size.entries).toBeGreaterThanOrEqual(0)
        }
      }),
    )
  })
})
