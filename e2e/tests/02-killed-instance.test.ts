import { expect, it } from 'vitest'
import { eventually, eventuallyHolds } from '../harness/eventually.ts'
import { startTestMesh } from '../harness/story.ts'
import { quickCheck } from '../harness/test-mesh.ts'

it('an instance killed under load is found out, and all traffic moves to the others', async () => {
  const mesh = await startTestMesh()
  const orders = await mesh.instance({ service: 'orders', id: 'orders-1' })
  // Callers that have met a dead instance give it another chance sooner than by default.
  await mesh.api.apply('TrafficPolicy', 'payments', {
    outlierDetection: { interval: '1s', baseEjectionTime: '3s' },
  })
  const registration = { checks: quickCheck }
  const killed = await mesh.instance({ service: 'payments', id: 'payments-1', registration })
  const lost = await mesh.instance({ service: 'payments', id: 'payments-2', registration })
  await mesh.instance({ service: 'payments', id: 'payments-3', registration })
  await eventuallyHolds('all to be checked and healthy', async () => {
    for (const { evidence, verdict } of await mesh.api.instances('payments')) {
      expect(evidence).toContainEqual(expect.objectContaining({ source: 'check:0', status: 'passing' }))
      expect(verdict).toBe('healthy')
    }
  })
  await mesh.reaches(orders, 'payments', ['payments-1', 'payments-2', 'payments-3'])

  const clients = 16
  const load = orders.load({ authority: 'payments', perSecond: 200, clients })
  await eventually('some answers', () => load.report().ok > 50)

  // The process dies; its sidecar lives on.
  await killed.killApp()
  const dead = await eventually('the verdict', async () => {
    const instance = await mesh.api.instance('payments', 'payments-1')
    return instance.verdict === 'unhealthy' && instance
  })
  const seen = dead.evidence.find(({ source }) => source === 'check:0')
  expect(seen).toMatchObject({ status: 'critical' })
  expect(seen?.output).toMatch(/refused/i)
  const edsHealth = async (port: number): Promise<string | undefined> =>
    (await orders.sidecar.admin.clusters()).get('payments')?.find(host => host.port === port)?.edsHealth
  await eventually(
    'the callers sidecar to be told',
    async () => (await edsHealth(killed.ports.inbound)) === 'UNHEALTHY',
  )
  await eventually('the callers sidecar to have ACKed it', async () => {
    const sidecar = await mesh.api.sidecar(orders.node)
    return sidecar.inSync && sidecar.syncedRevision >= dead.revision
  })

  const moved = load.window()
  await eventually('more answers', () => moved.report().ok > 200)
  expect(moved.report().failed, JSON.stringify(moved.report())).toBe(0)
  expect(Object.keys(moved.report().byInstance).sort()).toEqual(['payments-2', 'payments-3'])

  // What died comes back.
  await killed.startApp()
  await eventually(
    'the verdict to change back',
    async () => (await mesh.api.instance('payments', 'payments-1')).verdict === 'healthy',
  )
  await mesh.reaches(orders, 'payments', ['payments-1'])

  // A whole host dies: application and sidecar.
  await Promise.all([lost.killApp(), lost.sidecar.kill()])
  await eventually(
    'the callers sidecar to be told again',
    async () => (await edsHealth(lost.ports.inbound)) === 'UNHEALTHY',
  )
  const movedAgain = load.window()
  await eventually('more answers', () => movedAgain.report().ok > 200)
  expect(movedAgain.report().failed, JSON.stringify(movedAgain.report())).toBe(0)
  expect(Object.keys(movedAgain.report().byInstance).sort()).toEqual(['payments-1', 'payments-3'])

  const report = await load.stop()
  // Whoever was being served when the process died cannot be helped: nobody may send such a request twice. At most
  // one for each connection and kill; everything else was tried again at another instance.
  expect(report.failed, JSON.stringify(report)).toBeLessThanOrEqual(2 * clients)
  for (const { status, body } of report.failures) {
    expect(status).toBe(503)
    expect(body).toContain('connection termination')
  }
})
