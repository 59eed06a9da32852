import type { ServiceLoadView } from '@waymark/control-plane/rest/schemas/load.ts'
import { expect, it, onTestFinished } from 'vitest'
import { createTestDatabase } from '../../control-plane/test/support/database.ts'
import { eventually } from '../harness/eventually.ts'
import { startInnerReplica } from '../harness/inner-replica.ts'
import { quickCheck } from '../harness/test-mesh.ts'
import { startTestMesh } from '../harness/story.ts'
import type { TestInstance } from '../harness/test-instance.ts'

/** Less than what makes a sidecar eject an instance by itself, far more than what it has seen succeed before. */
const failuresPerCaller = 20
const outlierFailures = 25
/** The application answers 502: what it should call is not there. */
const badRequest = '/call?next=nowhere'

/** Sends requests until the instance has answered so many of them. */
const askUntil = async (caller: TestInstance, id: string, answers: number): Promise<void> => {
  for (let counted = 0; counted < answers;) {
    const { headers } = await caller.get('payments')
    if (headers['x-instance'] === id) counted += 1
  }
}

it('callers together drain an instance whose health endpoint lies, one broken caller drains nobody', async () => {
  const database = await createTestDatabase()
  onTestFinished(() => database.destroy())
  const databaseUrl = database.connection.url
  // Sidecars report to either of two replicas, ten times as often as may be set; a third one hears nothing of them.
  const mesh = await startTestMesh({ databaseUrl, replicas: 1 })
  const replicas = await Promise.all(
    ['inner-1', 'inner-2'].map(name =>
      startInnerReplica({ databaseUrl, name, config: { loadReportSeconds: 1 } }),
    ),
  )
  const [first, second] = replicas
  if (first === undefined || second === undefined) throw new Error('there are two replicas')
  const { api } = first
  await api.apply('Service', 'payments', {
    passiveHealth: {
      window: '5s',
      baseEjectionTime: '2s',
      trialTime: '2s',
      trialRequests: 3,
      minReporters: 3,
    },
  })
  await api.apply('TrafficPolicy', 'payments', {
    retries: { attempts: 0 },
    outlierDetection: { consecutive5xx: outlierFailures, consecutiveGatewayFailures: outlierFailures },
  })
  // All calls of this caller go to one instance, so that it cannot be compared with the others.
  await api.apply('TrafficPolicy', 'payments-for-broken', {
    destination: 'payments',
    caller: 'broken',
    retries: { attempts: 0 },
    outlierDetection: { enabled: false },
    loadBalancing: { policy: 'ringHash', hashOn: { header: 'x-key' } },
  })
  const registration = { checks: quickCheck }
  const [bad] = await Promise.all(
    ['payments-1', 'payments-2', 'payments-3'].map(id =>
      mesh.instance({ service: 'payments', id, sidecar: false, registration }),
    ),
  )
  if (bad === undefined) throw new Error('there are three instances')
  const callers = await Promise.all(
    [first, second, first, second].map(({ xds }, index) =>
      mesh.instance({ service: 'web', id: `web-${index + 1}`, controlPlane: [xds] }),
    ),
  )
  const broken = await mesh.instance({ service: 'broken', id: 'broken-1', controlPlane: [second.xds] })
  for (const caller of callers)
    await mesh.reaches(caller, 'payments', ['payments-1', 'payments-2', 'payments-3'])
  await eventually('the checks to pass', async () =>
    (await api.instances('payments')).every(({ verdict }) => verdict === 'healthy'),
  )

  // One caller is broken all the time, and nobody else has trouble with the instance that it calls.
  const key = await eventually('a key of payments-2', async () => {
    const candidate = String(Math.floor(performance.now() * 1_000))
    const { headers } = await broken.get('payments', '/', { 'x-key': candidate })
    return headers['x-instance'] === 'payments-2' && candidate
  })
  const end = new AbortController()
  const breaking = (async () => {
    while (!end.signal.aborted) await broken.get('payments', badRequest, { 'x-key': key })
  })()
  onTestFinished(() => {
    end.abort()
    return breaking
  })
  // Only so often: each success at the other instance speaks for it, too, and nobody asks again below.
  for (const caller of callers) await askUntil(caller, 'payments-2', 2)
  await eventually('the failures of the broken caller to be reported', async () => {
    const load = await second.api.get<ServiceLoadView>('/services/payments/load')
    const victim = load.instances.find(({ id }) => id === 'payments-2')
    return (victim?.total.failed ?? 0) > 100
  })

  // Every caller sees a little of it, too little to act by itself.
  await bad.control({ status: 500 })
  for (const caller of callers) await askUntil(caller, bad.id, failuresPerCaller)
  const drained = await eventually('the failing instance to be unhealthy', async () => {
    const detail = await api.instance('payments', bad.id)
    return detail.verdict === 'unhealthy' && detail
  })
  expect(JSON.parse((await bad.ask('/healthz')).body)).toEqual({ healthy: true })
  expect(drained.evidence.find(({ source }) => source === 'check:0')?.status).toBe('passing')
  const evidence = drained.evidence.find(({ source }) => source === 'traffic')
  expect(evidence?.status).toBe('critical')
  // It does not wait for all: when reports of two have come and both see it, they are enough.
  expect(evidence?.output).toMatch(/^[2-4] of [2-5] sidecars that call it see it fail \(web\/web-\d/)
  for (const { sidecar } of [...callers, broken]) {
    await eventually('all sidecars to leave it out', async () => {
      const hosts = (await sidecar.admin.clusters()).get('payments') ?? []
      expect(hosts.filter(({ ejected }) => ejected)).toEqual([])
      return hosts.find(({ port }) => port === bad.ports.app)?.edsHealth === 'UNHEALTHY'
    })
  }

  // It is tried with a small share, fails, and stays away for longer; mended, it comes back step by step.
  const loads = callers.map(caller => caller.load({ authority: 'payments', perSecond: 25, clients: 2 }))
  const traffic = async () => {
    const sets = await api.changes()
    return sets.flatMap(({ changes }) =>
      changes.flatMap(change => {
        if (change.aggregateType !== 'instance' || change.actor !== 'traffic') return []
        const seen = change.after?.evidence.find(({ source }) => source === 'traffic')
        return [{ id: change.aggregateId, output: seen?.output ?? '' }]
      }),
    )
  }
  await eventually('a second ejection', async () =>
    (await traffic()).some(({ output }) => output.includes('; ejection 2,')),
  )
  await bad.control({ status: 200 })
  await eventually(
    'the instance to be readmitted',
    async () => (await traffic()).some(({ output }) => output.startsWith('readmitted after ejection 2')),
    40_000,
  )
  const after = loads.map(load => load.window())
  await eventually('every caller to use it again', () =>
    after.every(tally => (tally.report().byInstance[bad.id] ?? 0) > 10),
  )
  for (const tally of after) expect(tally.report().failed).toBe(0)
  await Promise.all(loads.map(load => load.stop()))
  expect((await api.instance('payments', bad.id)).verdict).toBe('healthy')
  expect(new Set((await traffic()).map(({ id }) => id))).toEqual(new Set([`payments/${bad.id}`]))
})
