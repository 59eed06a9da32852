import { ClusterLoadAssignment } from '@envoyproxy/protos/envoy/config/endpoint/v3/endpoint.ts'
import type { RevisionSidecarsView } from '@waymark/control-plane/rest/schemas/revision-sidecars.ts'
import { endpointType } from '@waymark/control-plane/xds/type-urls.ts'
import { expect, it, onTestFinished } from 'vitest'
import { createTestDatabase } from '../../control-plane/test/support/database.ts'
import { eventually } from '../harness/eventually.ts'
import { startForcedReplica } from '../harness/forced-replica.ts'
import { startOwnPostgres } from '../harness/own-postgres.ts'
import { startTestMesh } from '../harness/story.ts'
import { waymarkWithin } from '../harness/waymark.ts'
import type { TestInstance } from '../harness/test-instance.ts'

const waymark = waymarkWithin(60_000)

interface Written {
  readonly sidecars: RevisionSidecarsView
}

const payments = (port: number) => ({ address: '127.0.0.1', port, lease: null })
const second = '/services/payments/instances/payments-2'

/** Stands still as if its machine did, until the call that is returned, or the end of the test. */
const freeze = ({ sidecar }: TestInstance): (() => void) => {
  const { pid } = sidecar
  if (pid === null) throw new Error('the sidecar does not run')
  process.kill(pid, 'SIGSTOP')
  const thaw = (): void => {
    if (sidecar.pid === pid) process.kill(pid, 'SIGCONT')
  }
  onTestFinished(thaw)
  return thaw
}

it('a write waits for the sidecars of both replicas, and names one that stands still until it is back', async () => {
  const mesh = await startTestMesh()
  const [first, other] = [mesh.replica(0), mesh.replica(1)]
  const orders = await mesh.instance({
    service: 'orders',
    id: 'orders-1',
    controlPlane: [first.process.xds],
  })
  const web = await mesh.instance({ service: 'web', id: 'web-1', controlPlane: [other.process.xds] })
  await mesh.instance({ service: 'payments', id: 'payments-1', sidecar: false })
  await mesh.reaches(orders, 'payments', ['payments-1'])
  await mesh.reaches(web, 'payments', ['payments-1'])
  await eventually(
    'both replicas to know each other',
    async () => (await first.api.status()).replicas?.length === 2,
  )

  const acked = await first.api.ok<Written>('PUT', `${second}?wait=acked&timeout=9s`, payments(1))
  expect(acked.body.sidecars).toMatchObject({
    revision: acked.revision,
    complete: true,
    touched: 2,
    acked: 2,
    replicas: [
      { replica: first.name, state: 'applied' },
      { replica: other.name, state: 'applied' },
    ],
  })
  // One of another replica is told of resource by resource all the same.
  await eventually('both to be shown', async () => (await first.api.sidecars()).states['in-sync'] === 2)
  const far = await first.api.sidecar(web.node)
  expect(far).toMatchObject({ replica: other.name, state: 'in-sync', duplicate: false })
  const endpoints = far.resources?.filter(({ typeUrl }) => typeUrl === endpointType)
  expect(endpoints?.map(({ name }) => name)).toContain('payments')

  // What nobody calls touches nobody: the answer does not wait.
  const policy = { spec: { destination: 'nobody-calls-it', outlierDetection: {} } }
  const untouched = await first.api.ok<Written>('PUT', '/documents/TrafficPolicy/q?wait=acked', policy)
  expect(untouched.body.sidecars).toMatchObject({ complete: true, touched: 0 })
  const told = await waymark(first.api.url, 'override', 'payments/payments-2', 'draining', '--wait')
  expect(told).toMatchObject({ code: 0 })
  expect(told.stdout).toMatch(/2 of 2 sidecars ACKed/)

  const thaw = freeze(web)
  const waiting = await first.api.ok<Written>('PUT', `${second}?wait=acked&timeout=2s`, payments(2))
  expect(waiting.body.sidecars).toMatchObject({
    complete: false,
    touched: 2,
    acked: 1,
    pending: 1,
    waiting: [{ node: web.node, replica: other.name, typeUrls: [endpointType] }],
  })
  const args = ['register', 'payments/payments-2', '--address', '127.0.0.1', '--port', '3', '--no-lease']
  const late = await waymark(first.api.url, ...args, '--wait=acked', '--timeout', '1s')
  expect(late.code).toBe(1)
  expect(late.stdout).toContain(`${web.node} has not answered ClusterLoadAssignment`)
  const state = async () => {
    const { sidecars } = await first.api.sidecars()
    return [sidecars[0]?.node, sidecars[0]?.state].join(' ')
  }
  expect(await state()).toBe(`${web.node} pending`)
  await eventually(
    'the sidecar to be called stuck',
    async () => (await state()) === `${web.node} stuck`,
    30_000,
  )
  expect(await waymark(first.api.url, 'sync')).toMatchObject({ code: 1 })

  // Asked about later, when it goes on.
  const { revision } = waiting.body.sidecars
  const later = first.api.get<RevisionSidecarsView>(`/revisions/${revision}/sidecars?wait=acked&timeout=9s`)
  thaw()
  expect(await later).toMatchObject({ complete: true, touched: 2, acked: 2 })

  await web.sidecar.kill()
  await eventually(
    'the sidecar to be called disconnected',
    async () => (await state()) === `${web.node} disconnected`,
  )
  const after = await first.api.ok<Written>('PUT', `${second}?wait=acked&timeout=9s`, payments(4))
  expect(after.body.sidecars).toMatchObject({ complete: true, touched: 1, acked: 1 })
})

it('a write names the sidecar that refuses it, in the words of Envoy', async () => {
  const database = await createTestDatabase()
  onTestFinished(() => database.destroy())
  const databaseUrl = database.connection.url
  const { xds, source } = await startForcedReplica(databaseUrl)
  const mesh = await startTestMesh({ databaseUrl, replicas: 1 })
  const orders = await mesh.instance({ service: 'orders', id: 'orders-1', controlPlane: [xds] })
  await mesh.instance({ service: 'payments', id: 'payments-1', sidecar: false })
  await mesh.reaches(orders, 'payments', ['payments-1'])
  const web = await mesh.instance({ service: 'web', id: 'web-1' })
  await mesh.reaches(web, 'payments', ['payments-1'])

  const wrongName = ClusterLoadAssignment.fromPartial({ clusterName: 'somebody-else' })
  source.force(endpointType, 'payments', ClusterLoadAssignment.encode(wrongName).finish())
  await eventually('the NACK', async () => (await mesh.api.sidecar(orders.node)).state === 'rejected')
  const { status, body } = await mesh.api.call<Written>('PUT', `${second}?wait=acked&timeout=9s`, payments(1))
  expect(status).toBe(201)
  expect(body.sidecars).toMatchObject({
    complete: true,
    touched: 2,
    acked: 1,
    nacked: 1,
    nacks: [{ node: orders.node, replica: 'forced', typeUrl: endpointType, names: ['payments'] }],
  })
  expect(body.sidecars.nacks[0]?.message).toMatch(/Unexpected EDS cluster/)
  const args = [
    'register',
    'payments/payments-2',
    '--address',
    '127.0.0.1',
    '--port',
    '2',
    '--no-lease',
    '--wait',
  ]
  const told = await waymark(mesh.api.url, ...args)
  expect(told.code).toBe(1)
  expect(told.stdout).toMatch(
    /orders\/orders-1 refused ClusterLoadAssignment payments: .*Unexpected EDS cluster/,
  )
})

it('without Postgres a replica tells of its own sidecars, and of whom it cannot', async () => {
  const postgres = await startOwnPostgres()
  const mesh = await startTestMesh({ databaseUrl: postgres.url })
  const [first, other] = [mesh.replica(0), mesh.replica(1)]
  const orders = await mesh.instance({ service: 'orders', id: 'orders-1', controlPlane: [first.process.xds] })
  const web = await mesh.instance({ service: 'web', id: 'web-1', controlPlane: [other.process.xds] })
  await eventually(
    'both sidecars to be shown',
    async () => (await first.api.sidecars()).sidecars.length === 2,
  )
  const { revision } = await first.api.ok<Written>('PUT', `${second}?wait=acked&timeout=9s`, payments(1))

  await eventually('both to be in sync', async () => (await first.api.sidecars()).states['in-sync'] === 2)

  await postgres.stop()
  const list = await first.api.sidecars()
  expect(list).toMatchObject({ missing: [other.name], sidecars: [{ node: orders.node, state: 'in-sync' }] })
  expect((await first.api.sidecar(orders.node)).state).toBe('in-sync')
  const away = await first.api.call('GET', `/sidecars/${web.node}`)
  expect(away).toMatchObject({ status: 503, body: { code: 'database_unavailable' } })
  const answers = await first.api.get<RevisionSidecarsView>(`/revisions/${revision ?? 0}/sidecars`)
  expect(answers).toMatchObject({
    complete: false,
    acked: 1,
    replicas: [
      { replica: first.name, state: 'applied' },
      { replica: other.name, state: 'silent' },
    ],
  })
  const told = await waymark(first.api.url, 'sync')
  expect(told.code).toBe(1)
  expect(told.stdout).toContain(`nothing can be told of the sidecars of ${other.name}`)

  await postgres.start()
  await eventually(
    'all to be known again',
    async () => {
      const { missing, sidecars } = await first.api.sidecars()
      return missing.length === 0 && sidecars.length === 2
    },
    60_000,
  )
})
