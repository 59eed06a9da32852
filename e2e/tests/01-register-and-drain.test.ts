import { expect, it } from 'vitest'
import { eventually } from '../harness/eventually.ts'
import { startTestMesh } from '../harness/story.ts'

it('a registered service is called through two sidecars, and leaves under load without a failed request', async () => {
  const mesh = await startTestMesh()
  const orders = await mesh.instance({ service: 'orders', id: 'orders-1' })
  const leaving = await mesh.instance({ service: 'payments', id: 'payments-1' })
  await mesh.instance({ service: 'payments', id: 'payments-2' })
  await mesh.reaches(orders, 'payments', ['payments-1', 'payments-2'])

  const direct = await orders.get('payments.mesh:8080', '/echo')
  expect(direct.status).toBe(200)
  // It came through the sidecar of the payments instance as well, which marks what it passes on.
  expect(direct.body).toContain('x-request-id')
  const inbound = await leaving.sidecar.admin.stats('http.inbound.downstream_rq_completed')
  expect([...inbound.values()].some(count => count > 0)).toBe(true)

  const unknown = await orders.get('nobody')
  expect(unknown.status).toBe(404)
  expect(unknown.body).toContain('nobody')

  const load = orders.load({ authority: 'payments', perSecond: 200, clients: 16 })
  await eventually('both to answer', () => Object.keys(load.report().byInstance).length === 2)
  // The order of docs/guides/leaving.md: tell the callers, close what is open, wait for the rest, end.
  const leave = '/services/payments/instances/payments-1?drain=4s&wait=acked&timeout=10s'
  const draining = await mesh.api.ok('DELETE', leave)
  expect(draining.body).toMatchObject({ verdict: 'draining', sidecars: { complete: true } })
  await leaving.sidecar.drain()
  await leaving.stopApp()
  await eventually('the drained instance to be gone', async () => {
    const instances = await mesh.api.instances('payments')
    return instances.length === 1
  })
  const after = load.window()
  await eventually('more answers', () => after.report().ok > 100)
  const report = await load.stop()
  expect(report.failed, JSON.stringify(report)).toBe(0)
  expect(Object.keys(after.report().byInstance)).toEqual(['payments-2'])
})
