import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, it, onTestFinished } from 'vitest'
import { eventually } from '../harness/eventually.ts'
import { startTestMesh } from '../harness/story.ts'

/** One server behind many addresses of the loopback net; counts who was asked. */
const startTargets = async () => {
  const asked = new Map<string, number>()
  const state = { status: 200 }
  const server = createServer((request, response) => {
    const address = request.socket.localAddress ?? ''
    asked.set(address, (asked.get(address) ?? 0) + 1)
    response.statusCode = state.status
    response.end()
  })
  server.listen(0, '0.0.0.0')
  await once(server, 'listening')
  onTestFinished(() => {
    server.close()
    server.closeAllConnections()
  })
  return { asked, state, port: (server.address() as AddressInfo).port }
}

it('checks of a service are shared, and no verdict changes when a replica is killed and comes back', async () => {
  const mesh = await startTestMesh({ replicas: 3 })
  const targets = await startTargets()
  const addresses = Array.from({ length: 24 }, (_, index) => `127.1.0.${index + 1}`)
  for (const [index, address] of addresses.entries())
    await mesh.api.register('payments', `p-${index}`, { address, port: targets.port, lease: null })
  await mesh.api.apply('Service', 'payments', {
    checks: [{ kind: 'http', path: '/healthz', interval: '1s', timeout: '900ms', unhealthyThreshold: 3 }],
  })
  const observers = async (): Promise<Map<string, string>> => {
    const instances = await mesh.api.instances('payments')
    return new Map(instances.map(({ address, evidence }) => [address, evidence[0]?.observer ?? 'nobody']))
  }
  await eventually('all to be healthy', async () => {
    const instances = await mesh.api.instances('payments')
    return instances.every(({ verdict }) => verdict === 'healthy')
  })
  const revision = async (): Promise<number> => {
    const { revision: applied } = await mesh.api.get<{ revision: number }>('/services/payments/instances')
    return applied
  }
  /** Two probes of each: the first one may have been under way. */
  const allAsked = (what: string) => {
    targets.asked.clear()
    return eventually(`${what} to be probed`, () =>
      addresses.every(address => (targets.asked.get(address) ?? 0) >= 2),
    )
  }
  await allAsked('each')
  const before = await revision()

  await mesh.replica(2).process.kill()
  await allAsked('also those of the killed replica')
  await mesh.replica(2).process.start()
  await eventually('the replica to be among the living again', async () => {
    const { replicas } = await mesh.replica(2).api.get<{ replicas: { id: string }[] | null }>('/status')
    return replicas?.length === 3
  })
  await allAsked('each, by three again')
  expect(await revision()).toBe(before)

  // Who checks speaks for itself as soon as something has changed.
  targets.state.status = 503
  await eventually('all to be unhealthy', async () => {
    const instances = await mesh.api.instances('payments')
    return instances.every(({ verdict }) => verdict === 'unhealthy')
  })
  expect(new Set((await observers()).values())).toEqual(new Set(['replica-1', 'replica-2', 'replica-3']))
})
