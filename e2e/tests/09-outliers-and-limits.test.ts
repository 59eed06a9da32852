import { expect, it } from 'vitest'
import { eventually } from '../harness/eventually.ts'
import { startTestMesh } from '../harness/story.ts'

it('a failing instance is ejected by its callers and comes back', async () => {
  const mesh = await startTestMesh()
  await mesh.api.apply('TrafficPolicy', 'payments', {
    outlierDetection: {
      consecutive5xx: 5,
      interval: '500ms',
      baseEjectionTime: '4s',
      maxEjectionTime: '4s',
      maxEjectionPercent: 50,
    },
  })
  const orders = await mesh.instance({ service: 'orders', id: 'orders-1' })
  const failing = await mesh.instance({ service: 'payments', id: 'payments-1' })
  await mesh.instance({ service: 'payments', id: 'payments-2' })
  await mesh.reaches(orders, 'payments', ['payments-1', 'payments-2'])

  await failing.control({ status: 500 })
  const load = orders.load({ authority: 'payments', perSecond: 200, clients: 8 })
  const ejected = async (): Promise<boolean> =>
    (await orders.sidecar.admin.clusters()).get('payments')?.some(host => host.ejected) ?? false
  await eventually('the failing instance to be ejected', ejected)
  // Workers hear of it up to a second later: Envoy merges changes of health within that time.
  await eventually('the others to take all requests', async () => {
    const moved = load.window()
    await eventually('100 requests', () => moved.report().sent >= 100)
    const { failed, byInstance } = moved.report()
    return failed === 0 && Object.keys(byInstance).join() === 'payments-2'
  })
  expect(await ejected()).toBe(true)

  await failing.control({ status: 200 })
  const recovered = load.window()
  await eventually(
    'the instance to be tried again',
    () => (recovered.report().byInstance['payments-1'] ?? 0) > 50,
  )
  const { failed, byStatus } = await load.stop()
  expect(failed).toBeGreaterThanOrEqual(5)
  expect(byStatus['500']).toBe(failed)
})

it('a flood is cut off at the connection limits, and the instance sees no more than them', async () => {
  const mesh = await startTestMesh()
  const limits = { connections: 4, pending: 2, requests: 100, retries: 1 }
  await mesh.api.apply('TrafficPolicy', 'payments', { connectionLimits: limits })
  const orders = await mesh.instance({ service: 'orders', id: 'orders-1' })
  const payments = await mesh.instance({ service: 'payments', id: 'payments-1' })
  await mesh.instance({ service: 'stock', id: 'stock-1' })
  await mesh.reaches(orders, 'payments', ['payments-1'])
  await mesh.reaches(orders, 'stock', ['stock-1'])

  await payments.control({ delayMs: 200 })
  const others = orders.load({ authority: 'stock', perSecond: 50, clients: 4 })
  const flood = orders.load({ authority: 'payments', clients: 40 })
  await eventually('many requests to be refused', () => (flood.report().byStatus['503'] ?? 0) > 200)
  const refused = await eventually('one to be refused', async () => {
    const answer = await orders.get('payments')
    return answer.status === 503 && answer
  })
  expect(refused.headers['x-envoy-overloaded']).toBe('true')
  const report = await flood.stop()
  expect(Object.keys(report.byStatus).sort()).toEqual(['200', '503'])
  expect(report.byError).toEqual({})
  const { mostAtOnce } = JSON.parse((await payments.ask('/control', '{}')).body) as { mostAtOnce: number }
  expect(mostAtOnce).toBeLessThanOrEqual(limits.connections)
  expect(mostAtOnce).toBeGreaterThan(0)
  // The flood on one service does not touch another.
  const untouched = await others.stop()
  expect(untouched.failed, JSON.stringify(untouched)).toBe(0)

  await payments.control({ delayMs: 0 })
  await eventually('requests to pass again', async () => (await orders.get('payments')).status === 200)
})
