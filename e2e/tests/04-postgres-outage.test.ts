import { setTimeout as delay } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { eventually, eventuallyHolds } from '../harness/eventually.ts'
import { startOwnPostgres } from '../harness/own-postgres.ts'
import { startTestMesh } from '../harness/story.ts'

const outageMs = 20_000

it('20 s without Postgres: traffic goes on, nobody expires, writes are refused and then taken', async () => {
  const postgres = await startOwnPostgres()
  const mesh = await startTestMesh({ databaseUrl: postgres.url })
  const lease = { ttl: '4s', deregisterAfter: '1m' }
  const orders = await mesh.instance({ service: 'orders', id: 'orders-1', registration: { lease } })
  await mesh.instance({ service: 'payments', id: 'payments-1', registration: { lease } })
  await mesh.instance({ service: 'payments', id: 'payments-2', registration: { lease } })
  await mesh.reaches(orders, 'payments', ['payments-1', 'payments-2'])
  const load = orders.load({ authority: 'payments', perSecond: 200, clients: 16 })
  const modes = async (replica: number): Promise<Record<string, string>> => {
    const status = await mesh.replica(replica).api.status()
    return Object.fromEntries(status.modes.map(({ capability, mode }) => [capability, mode]))
  }
  await eventually('every capability to be in target mode', async () =>
    Object.values(await modes(0)).every(mode => mode === 'target'),
  )
  const { revision } = await mesh.api.status()

  await postgres.stop()
  const stopped = performance.now()
  const body = { address: '127.0.0.1', port: 9, lease: null }
  for (const { api } of mesh.replicas) {
    const refused = await api.call('PUT', '/services/refunds/instances/refunds-1', body)
    expect(refused).toMatchObject({ status: 503, body: { code: 'database_unavailable', status: 503 } })
    expect(refused.headers.get('content-type')).toMatch(/^application\/problem\+json/)
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0)
    // What is known can still be read.
    expect(await api.instances('payments')).toHaveLength(2)
  }
  for (const index of [0, 1]) {
    await eventually('the mode to be shown', async () => (await modes(index))['register'] !== 'target')
    const { modes: shown } = await mesh.replica(index).api.status()
    const register = shown.find(({ capability }) => capability === 'register')
    expect(register).toMatchObject({ mode: 'floor' })
    expect(register?.evidence).toMatch(/database/i)
    expect(register?.endsWhen).toBeTruthy()
  }
  // A sidecar that starts now gets its configuration all the same.
  const during = await mesh.instance({ service: 'web', id: 'web-1', register: false })
  await mesh.reaches(during, 'payments', ['payments-1', 'payments-2'])

  await delay(Math.max(0, outageMs - (performance.now() - stopped)))
  await postgres.start()
  await eventually('writes to be taken', async () => {
    const answers = await Promise.all(
      mesh.replicas.map(({ api }, index) =>
        api.call('PUT', `/services/refunds/instances/refunds-${index}`, body),
      ),
    )
    return answers.every(({ status }) => status < 300)
  })
  await eventually(
    'every capability to be in target mode again',
    async () => {
      const all = await Promise.all([modes(0), modes(1)])
      return all.flatMap(one => Object.values(one)).every(mode => mode === 'target')
    },
    30_000,
  )
  await eventuallyHolds('the new instances to be everywhere', async () => {
    for (const { api } of mesh.replicas) expect(await api.instances('refunds')).toHaveLength(2)
  })

  // Nobody expired: since before the outage the log has only what was registered after it.
  const log = await mesh.api.changes(revision)
  const changes = log.flatMap(set => set.changes.map(({ type, aggregateId }) => `${type} ${aggregateId}`))
  expect(changes.sort()).toEqual([
    'instance.registered refunds/refunds-0',
    'instance.registered refunds/refunds-1',
  ])
  const report = await load.stop()
  expect(report.failed, JSON.stringify(report)).toBe(0)
  // All the time, however slow the machine.
  expect(report.ok).toBeGreaterThan(((outageMs / 1_000) * 200) / 10)
})
