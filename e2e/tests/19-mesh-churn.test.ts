import { setTimeout as delay } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import type { ApiAnswer } from '../harness/api.ts'
import { eventually, eventuallyHolds } from '../harness/eventually.ts'
import type { Load } from '../harness/load.ts'
import { startPlainApp } from '../harness/plain-app.ts'
import { randomFrom } from '../harness/random.ts'
import { startTestMesh } from '../harness/story.ts'
import type { LoadReport } from '../harness/tally.ts'
import { warmingClusters } from '../harness/warming-clusters.ts'

/** `CHURN_SECONDS=600 CHURN_SEED=7` for a long run, as in the churn of the bare xDS server. */
const seconds = Number(process.env['CHURN_SECONDS'] ?? 8)
const seed = Number(process.env['CHURN_SEED'] ?? Math.floor(Math.random() * 2 ** 31))

const fixed = ['payments', 'stock', 'users']
const mostVisitors = 3

const policies = [
  { timeouts: { connect: '2s' } },
  { loadBalancing: { policy: 'leastRequest' } },
  { loadBalancing: { policy: 'random' }, connectionLimits: { requests: 5_000 } },
  { timeouts: { request: '20s' } },
]

const churn = async ({ onDemand }: { readonly onDemand: boolean }): Promise<void> => {
  const random = randomFrom(seed)
  const below = (limit: number) => Math.floor(random() * limit)
  const pick = <T>(items: readonly T[]): T => {
    const item = items[below(items.length)]
    if (item === undefined) throw new Error('nothing to pick from')
    return item
  }
  const mesh = await startTestMesh()
  const apps = await Promise.all(Array.from({ length: 5 }, startPlainApp))
  for (const app of apps) onTestFinished(app.stop)
  const orders = await mesh.instance({ service: 'orders', id: 'orders-1', onDemand })
  const api = () => mesh.replica(below(2)).api

  const instances = new Map<string, Set<string>>()
  let lastId = 0
  const add = async (service: string): Promise<ApiAnswer> => {
    const id = `${service}-${(lastId += 1)}`
    const ids = instances.get(service) ?? new Set()
    instances.set(service, ids.add(id))
    const weight = 1 + below(5)
    return api().register(service, id, { address: '127.0.0.1', port: pick(apps).port, weight, lease: null })
  }
  const removeFrom = async (service: string, ids: readonly string[]) => {
    for (const id of ids) {
      await api().deregister(service, id)
      instances.get(service)?.delete(id)
    }
  }
  const inSync = (revision: number | null) =>
    eventually('the sidecar of orders to have the revision', async () => {
      const { syncedRevision } = await mesh.api.sidecar(orders.node)
      return syncedRevision >= (revision ?? 0)
    })

  const loads = new Map<string, Load>()
  const reports: LoadReport[] = []
  const ask = (service: string) =>
    loads.set(service, orders.load({ authority: service, perSecond: 40, clients: 4 }))
  const endLoad = async (service: string) => {
    const load = loads.get(service)
    loads.delete(service)
    if (load !== undefined) reports.push(await load.stop())
  }

  for (const service of fixed) {
    const { revision } = await add(service)
    await inSync(revision)
    ask(service)
  }
  const history: string[] = []
  const ends = performance.now() + seconds * 1_000
  while (performance.now() < ends) {
    const service = pick([...loads.keys()])
    const ids = [...(instances.get(service) ?? [])]
    const visitors = [...loads.keys()].filter(name => !fixed.includes(name))
    const kind = below(10)
    if (kind < 3) {
      history.push(`instance of ${service} comes`)
      await add(service)
    } else if (kind < 5 && ids.length > 1) {
      history.push(`instance of ${service} goes`)
      await removeFrom(service, [pick(ids)])
    } else if (kind === 5) {
      history.push(`policy of ${service}`)
      await api().apply('TrafficPolicy', service, pick(policies))
    } else if (kind === 6) {
      history.push(`policy of orders to ${service}`)
      await api().apply('TrafficPolicy', `orders-to-${service}`, {
        destination: service,
        caller: 'orders',
        ...pick(policies),
      })
    } else if (kind === 7) {
      history.push(`no policy of orders to ${service}`)
      const { status } = await api().call('DELETE', `/documents/TrafficPolicy/orders-to-${service}`)
      expect([204, 404]).toContain(status)
    } else if (kind === 8 && visitors.length < mostVisitors) {
      const visitor = `visitor-${(lastId += 1)}`
      history.push(`${visitor} comes`)
      const { revision } = await add(visitor)
      await inSync(revision)
      ask(visitor)
    } else if (kind === 9 && visitors.length > 0) {
      const visitor = pick(visitors)
      history.push(`${visitor} goes`)
      await endLoad(visitor)
      await removeFrom(visitor, [...(instances.get(visitor) ?? [])])
    }
    if (random() < 0.3) await delay(random() * 150)
  }
  const { revision } = await add('payments')
  await inSync(revision)
  for (const service of [...loads.keys()]) await endLoad(service)
  const failures = reports.flatMap(report => report.failures)
  const told = `seed ${seed}, ${history.length} steps, the last: ${history.slice(-12).join('; ')}`
  expect(failures, told).toEqual([])
  const answered = reports.reduce((sum, { ok }) => sum + ok, 0)
  console.log(
    `mesh churn${onDemand ? ' on demand' : ''}: ${history.length} steps, ${answered} requests, none failed, seed ${seed}`,
  )
  expect(answered).toBeGreaterThan(100)

  const { nacks } = await mesh.api.sidecar(orders.node)
  expect(nacks).toEqual([])
  await eventuallyHolds('nothing to be warming', async () => {
    expect(await warmingClusters(orders.sidecar.admin)).toEqual([])
  })
}

const timeout = seconds * 1_000 + 90_000

test(
  'X20 no request fails while services, instances and policies change at random over REST',
  () => churn({ onDemand: false }),
  timeout,
)

test(
  'X8 X20 no request fails at random changes in a sidecar that gets its services on demand',
  () => churn({ onDemand: true }),
  timeout,
)
