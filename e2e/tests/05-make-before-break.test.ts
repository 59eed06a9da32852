import { setTimeout as delay } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { eventually } from '../harness/eventually.ts'
import { startTestMesh } from '../harness/story.ts'
import type { TestInstance } from '../harness/test-instance.ts'

/** Asks for a service again and again and keeps the answers' statuses, equal neighbours as one. */
const observe = (
  caller: TestInstance,
  service: string,
): { phases(): number[]; stop(): Promise<number[]> } => {
  const phases: number[] = []
  const abort = new AbortController()
  const asking = (async () => {
    while (!abort.signal.aborted) {
      const { status } = await caller.get(service)
      if (phases.at(-1) !== status) phases.push(status)
      await delay(1)
    }
    return phases
  })()
  return {
    phases: () => [...phases],
    stop: () => {
      abort.abort()
      return asking
    },
  }
}

it('a service comes and goes under load: unknown, then served, then unknown, and nothing in between', async () => {
  const mesh = await startTestMesh()
  const orders = await mesh.instance({ service: 'orders', id: 'orders-1' })
  await mesh.instance({ service: 'payments', id: 'payments-1' })
  await mesh.reaches(orders, 'payments', ['payments-1'])
  const load = orders.load({ authority: 'payments', perSecond: 100, clients: 16 })

  for (let round = 0; round < 5; round += 1) {
    const service = `refunds-${round}`
    const seen = observe(orders, service)
    mesh.onClose(() => seen.stop())
    await eventually('the service to be unknown', () => seen.phases().length === 1)
    // Callers reach the application itself, which listens when it registers: what fails is the order of changes.
    const instance = await mesh.instance({ service, id: `${service}-1`, sidecar: false })
    await eventually('the service to be served', () => seen.phases().includes(200))
    await mesh.api.deregister(service, instance.id, round < 3 ? '1s' : undefined)
    await eventually('the service to be unknown again', () => seen.phases().length > 2)
    expect(await seen.stop(), service).toEqual([404, 200, 404])
  }
  // An instance whose own sidecar gets its listener only now joins a service that is called all the time.
  await mesh.instance({ service: 'payments', id: 'payments-2' })
  await mesh.reaches(orders, 'payments', ['payments-2'])
  const report = await load.stop()
  expect(report.failed, JSON.stringify(report)).toBe(0)
})
