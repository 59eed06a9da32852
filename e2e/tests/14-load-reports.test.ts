import type { ServiceLoadView, SidecarLoadView } from '@waymark/control-plane/rest/schemas/load.ts'
import { expect, it } from 'vitest'
import { eventually } from '../harness/eventually.ts'
import { startTestMesh } from '../harness/story.ts'

const requests = 40
/** Reports come every 3 s. */
const reportMs = 40_000
/** More than a call takes, less than the time between two reports. */
const callMs = 2_000

it('two sidecars report how often they called each instance, and whether it went well', async () => {
  // Sidecars report to either replica, whichever serves their configuration.
  const mesh = await startTestMesh({ replicas: 2, env: { WAYMARK_LOAD_REPORT_SECONDS: '3' } })
  const callers = [
    await mesh.instance({ service: 'orders', id: 'orders-1' }),
    await mesh.instance({ service: 'web', id: 'web-1' }),
  ]
  const good = await mesh.instance({ service: 'payments', id: 'payments-1' })
  const bad = await mesh.instance({ service: 'payments', id: 'payments-2' })
  // One instance answers 503 every time; nobody tries again or leaves it out, so that every request counts once.
  const { revision } = await mesh.api.apply('TrafficPolicy', 'payments', {
    retries: { attempts: 0 },
    outlierDetection: { enabled: false },
  })
  await bad.control({ status: 503 })
  // Envoy loses the counts of a cluster that it replaces.
  await eventually('all to have the policy', async () => {
    const { sidecars } = await mesh.api.sidecars()
    return sidecars.length === 4 && sidecars.every(({ syncedRevision }) => syncedRevision >= (revision ?? 0))
  })
  // Envoy counts a cluster from the first report on that finds it: calls before are in no report.
  const first = await eventually(
    'calls to be reported',
    async () => {
      for (const caller of callers) await caller.get('payments')
      const load = await mesh.api.get<ServiceLoadView>('/services/payments/load')
      const reporters = new Set(load.instances.flatMap(one => one.reporters.map(({ node }) => node)))
      return reporters.size === 2 ? Date.parse(load.at) : null
    },
    reportMs,
  )
  await eventually(
    'the last of these calls to be reported',
    async () => {
      const loads = await Promise.all(
        callers.map(({ node }) => mesh.api.get<SidecarLoadView>(`/sidecars/${node}/load`)),
      )
      return loads.every(({ replicas }) =>
        replicas.some(({ reportedAt }) => Date.parse(reportedAt) > first + callMs),
      )
    },
    reportMs,
  )
  const before = await mesh.api.get<ServiceLoadView>('/services/payments/load')
  const counted = (load: ServiceLoadView, id: string, node: string) => {
    const instance = load.instances.find(one => one.id === id)
    const reporters = instance?.reporters.filter(one => one.node === node) ?? []
    const sum = { issued: 0, succeeded: 0, failed: 0 }
    for (const { total } of reporters) {
      sum.issued += total.issued
      sum.succeeded += total.succeeded
      sum.failed += total.failed
    }
    return sum
  }
  const difference = (load: ServiceLoadView, id: string, node: string) => {
    const [now, then] = [counted(load, id, node), counted(before, id, node)]
    return {
      issued: now.issued - then.issued,
      succeeded: now.succeeded - then.succeeded,
      failed: now.failed - then.failed,
    }
  }

  /** Who answered which caller how often. */
  const answered = new Map<string, number>()
  for (const caller of callers) {
    for (let n = 0; n < requests; n += 1) {
      const { headers } = await caller.get('payments')
      const key = `${caller.node} ${String(headers['x-instance'])}`
      answered.set(key, (answered.get(key) ?? 0) + 1)
    }
  }
  const after = await eventually(
    'all calls to be reported',
    async () => {
      // Either replica tells what both were told.
      const load = await mesh.replica(1).api.get<ServiceLoadView>('/services/payments/load')
      const issued = callers.flatMap(({ node }) =>
        [good, bad].map(({ id }) => difference(load, id, node).issued),
      )
      return issued.reduce((sum, one) => sum + one, 0) >= 2 * requests ? load : null
    },
    reportMs,
  )
  for (const { node } of callers) {
    const toGood = answered.get(`${node} payments-1`) ?? 0
    const toBad = answered.get(`${node} payments-2`) ?? 0
    expect(toGood + toBad).toBe(requests)
    expect(difference(after, 'payments-1', node)).toEqual({ issued: toGood, succeeded: toGood, failed: 0 })
    expect(difference(after, 'payments-2', node)).toEqual({ issued: toBad, succeeded: 0, failed: toBad })
    const own = await mesh.api.get<SidecarLoadView>(`/sidecars/${node}/load`)
    const clusters = own.replicas.flatMap(replica => replica.clusters)
    const endpoints = clusters.filter(({ cluster }) => cluster === 'payments').flatMap(one => one.endpoints)
    expect(new Set(endpoints.map(({ instance }) => instance))).toEqual(
      new Set(['payments/payments-1', 'payments/payments-2']),
    )
  }
  expect(after.unreachable).toEqual([])
})
