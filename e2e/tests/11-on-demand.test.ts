/** Virtual hosts one by one, and on demand: what a real Envoy asks for, gets and answers. */
import { request } from 'node:http'
import { expect, test } from 'vitest'
import { eventually, eventuallyHolds } from '../harness/eventually.ts'
import { startTestMesh } from '../harness/story.ts'
import type { TestInstance } from '../harness/test-instance.ts'
import type { InstanceOptions, TestMesh } from '../harness/test-mesh.ts'
import { XdsTap, type TappedResponse } from '../harness/xds-tap.ts'

/** An instance whose sidecar is listened to. */
const tapped = async (mesh: TestMesh, options: InstanceOptions) => {
  const [port = 0] = await mesh.ports(1)
  const tap = await XdsTap.start({ target: mesh.replica(0).process.xds, port })
  mesh.onClose(() => tap.stop())
  const controlPlane = [{ host: '127.0.0.1', port }]
  return { tap, instance: await mesh.instance({ ...options, controlPlane }) }
}

const web = { service: 'web', id: 'web-1' }
const onDemand = { ...web, onDemand: true }

const post = (instance: TestInstance, host: string, body: string): Promise<number> =>
  new Promise((resolve, reject) => {
    const options = { port: instance.ports.outbound, host: '127.0.0.1', method: 'POST', agent: false }
    const call = request({ ...options, headers: { host, 'content-length': body.length } }, response => {
      response.resume().once('end', () => {
        resolve(response.statusCode ?? 0)
      })
    })
    call.once('error', reject).end(body)
  })

/** `VHDS +outbound/payments`, sorted. */
const told = (responses: readonly TappedResponse[]): string[] =>
  responses
    .flatMap(({ type, names, removed }) => [
      ...names.map(name => `${type} +${name}`),
      ...removed.map(name => `${type} -${name}`),
    ])
    .sort()

const inSync = (mesh: TestMesh, node: string) =>
  eventually(`${node} to be in sync`, async () => {
    const { sidecars } = await mesh.api.sidecars()
    return sidecars.find(sidecar => sidecar.node === node)?.inSync
  })

test('X7 a sidecar is ready although the mesh has no service', async () => {
  const mesh = await startTestMesh({ replicas: 1 })
  const sidecars = await Promise.all(
    [web, { service: 'shop', id: 'shop-1', onDemand: true }].map(each =>
      mesh.instance({ ...each, register: false }),
    ),
  )
  for (const sidecar of sidecars) expect((await sidecar.get('payments')).status).toBe(404)
})

test('a new service and a changed policy cost a sidecar one virtual host', async () => {
  const mesh = await startTestMesh({ replicas: 1 })
  for (const service of ['orders', 'payments'])
    await mesh.instance({ service, id: `${service}-1`, sidecar: false })
  const { tap, instance } = await tapped(mesh, web)
  await mesh.reaches(instance, 'payments', ['payments-1'])
  await inSync(mesh, instance.node)

  const during = async (change: () => Promise<unknown>): Promise<string[]> => {
    const from = tap.responses.length
    await change()
    await inSync(mesh, instance.node)
    return told(tap.responses.slice(from))
  }
  expect(
    await during(async () => {
      await mesh.instance({ service: 'refunds', id: 'refunds-1', sidecar: false })
      await mesh.reaches(instance, 'refunds', ['refunds-1'])
    }),
  ).toEqual(['CDS +refunds', 'EDS +refunds', 'VHDS +outbound/refunds'])
  expect(
    await during(async () => {
      await mesh.api.apply('TrafficPolicy', 'payments', {
        destination: 'payments',
        timeouts: { request: '1s' },
      })
      await eventually('the policy to arrive', () => tap.responses.at(-1)?.names[0] === 'outbound/payments')
    }),
  ).toEqual(['VHDS +outbound/payments'])
  expect(
    await during(async () => {
      await mesh.api.deregister('refunds', 'refunds-1')
      await eventually(
        'the service to be unknown',
        async () => (await instance.get('refunds')).status === 404,
      )
      await eventually('the removal to arrive', () => told(tap.responses).includes('CDS -refunds'))
    }),
    // Envoy itself gives up the endpoints of a cluster that is gone.
  ).toEqual(['CDS -refunds', 'VHDS -outbound/refunds'])
})

test('X7 X8 on demand: a first request gets through, an unknown host is answered, a service comes and goes', async () => {
  const mesh = await startTestMesh({ replicas: 1 })
  for (const service of ['orders', 'payments', 'refunds', 'rates'])
    await mesh.instance({ service, id: `${service}-1`, sidecar: false })
  const { tap, instance } = await tapped(mesh, onDemand)
  expect(told(tap.responses)).toEqual([
    'CDS +_inbound',
    'LDS +inbound',
    'LDS +outbound',
    'RDS +outbound',
    'VHDS +outbound/?',
  ])

  // Each a first request, by another form of the host; several at once.
  expect((await instance.get('payments')).status).toBe(200)
  expect((await instance.get('ORDERS.mesh:8080')).status).toBe(200)
  expect(await post(instance, 'refunds:80', 'x'.repeat(100_000))).toBe(200)
  const rates = ['rates', 'rates:1', 'rates.mesh', 'rates.mesh:2'].map(host => instance.get(host))
  expect((await Promise.all(rates)).map(({ status }) => status)).toEqual([200, 200, 200, 200])
  expect((await instance.get('payments.mesh:9')).status).toBe(200)

  for (const host of [
    'nobody',
    'Nobody:80',
    'nobody.example:99',
    '_odd',
    '*.com',
    '[::1]:80',
    'a.mesh.mesh',
  ]) {
    const answer = await instance.get(host)
    expect([answer.status, answer.headers['content-type']]).toEqual([404, 'application/problem+json'])
    expect(JSON.parse(answer.body)).toMatchObject({ title: 'Unknown host', host })
    // Again: Envoy does not ask a second time.
    expect((await instance.get(host)).status).toBe(404)
  }
  expect((await instance.get('later')).status).toBe(404)
  for (let round = 0; round < 3; round += 1) {
    const later = await mesh.instance({ service: 'later', id: `later-${round}`, sidecar: false })
    await mesh.reaches(instance, 'later', [later.id])
    await mesh.api.deregister('later', later.id)
    const statuses = new Set<number>()
    await eventually('the service to be unknown', async () => {
      const { status } = await instance.get('later')
      statuses.add(status)
      return status === 404
    })
    expect([...statuses].filter(status => status !== 200)).toEqual([404])
  }
  expect(tap.requests.filter(({ nack }) => nack !== null)).toEqual([])
})

test('on demand: a sidecar that goes to another replica keeps what it has, and gets nothing twice', async () => {
  const mesh = await startTestMesh()
  for (const service of ['orders', 'payments'])
    await mesh.instance({ service, id: `${service}-1`, sidecar: false })
  const { tap, instance } = await tapped(mesh, onDemand)
  for (const host of ['payments:80', 'nobody', 'strange_host']) await instance.get(host)
  await mesh.reaches(instance, 'payments', ['payments-1'])
  await inSync(mesh, instance.node)
  const load = instance.load({ authority: 'payments', perSecond: 100, clients: 4 })

  const from = tap.responses.length
  tap.retarget(mesh.replica(1).process.xds)
  tap.cut()
  await eventually('the sidecar to come to the other replica', async () => {
    const { sidecars } = await mesh.replica(1).api.sidecars()
    const { name } = mesh.replica(1)
    return sidecars.find(each => each.node === instance.node && each.replica === name)?.inSync
  })
  expect((await instance.get('orders')).status).toBe(200)
  const names = told(tap.responses.slice(from))
  expect(names).toEqual(['CDS +orders', 'EDS +orders', 'VHDS +outbound/orders'])
  expect((await load.stop()).failed).toBe(0)
})

test('X7 on demand: who asks for random hosts gets every service, and is bounded', async () => {
  const mesh = await startTestMesh({ replicas: 1 })
  const { tap, instance } = await tapped(mesh, onDemand)
  const asked = () => tap.requests.flatMap(({ type, subscribe }) => (type === 'VHDS' ? subscribe : [])).length
  const fetchAll = async (from: number, to: number) => {
    for (let host = from; host < to; host += 20) {
      const answers = Array.from({ length: 20 }, (_, index) => instance.get(`random-${host + index}.example`))
      for (const { status } of await Promise.all(answers)) expect(status).toBe(404)
    }
  }
  await mesh.instance({ service: 'payments', id: 'payments-1', sidecar: false })
  await fetchAll(0, 1_040)
  await eventuallyHolds('the sidecar to get everything', () => {
    expect(told(tap.responses)).toEqual(expect.arrayContaining(['CDS +payments', 'VHDS +outbound/*']))
  })
  await inSync(mesh, instance.node)
  const before = asked()
  await fetchAll(2_000, 2_400)
  expect(asked()).toBe(before)
  expect((await instance.get('payments')).status).toBe(200)
})

test('on demand: without a control plane what is known works, and a new host is answered in time', async () => {
  const mesh = await startTestMesh({ replicas: 1 })
  await mesh.instance({ service: 'payments', id: 'payments-1', sidecar: false })
  const instance = await mesh.instance(onDemand)
  await mesh.reaches(instance, 'payments', ['payments-1'])
  await mesh.replica(0).process.kill()
  expect((await instance.get('payments')).status).toBe(200)
  expect((await instance.get('orders')).status).toBe(504)
})
