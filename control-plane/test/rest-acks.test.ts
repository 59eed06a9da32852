import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { AckExchange } from '../src/resources/ack-exchange.ts'
import { MeshSource } from '../src/resources/mesh-source.ts'
import type { ProblemView } from '../src/rest/schemas/problem.ts'
import type { RevisionSidecarsView } from '../src/rest/schemas/revision-sidecars.ts'
import { systemClock } from '../src/runtime/clock.ts'
import { silentLogger } from '../src/runtime/logger.ts'
import { AckTable } from '../src/store/ack-table.ts'
import { DeltaClient } from '../src/xds/testing/delta-client.ts'
import { clusterType, endpointType } from '../src/xds/type-urls.ts'
import { XdsServer } from '../src/xds/xds-server.ts'
import { createTestDatabase, type TestDatabase } from './support/database.ts'
import { eventually } from './support/eventually.ts'
import { startRest, type TestRest } from './support/rest.ts'

let test: TestDatabase
let rest: TestRest
let client: DeltaClient
const stop = new Set<() => unknown>()

const orders = { address: '10.0.0.1', port: 80, lease: null }
const path = '/services/orders/instances/orders-1'

beforeEach(async () => {
  test = await createTestDatabase()
  // REST comes before the mesh that the xDS server serves.
  const later: { xds?: XdsServer } = {}
  rest = await startRest(test, {
    acks: new AckExchange({
      streams: { follow: (...asked) => xdsOf(later).follow(...asked) },
      store: new AckTable({ database: test.database, connection: test.connection, replica: 'replica-1' }),
      replica: 'replica-1',
      members: () => ['replica-1'],
      clock: systemClock,
      logger: silentLogger,
      random: Math.random,
      maxWaits: 2,
    }),
  })
  const source = new MeshSource({ mesh: rest.replica.mesh, tracing: null })
  const xds = new XdsServer({
    source,
    clock: systemClock,
    logger: silentLogger,
    listen: { host: '127.0.0.1', port: 0 },
    timings: { stopMs: 200 },
  })
  later.xds = xds
  const abort = new AbortController()
  const address = await xds.listen()
  const running = xds.start(abort.signal)
  const { revision } = await rest.ok('PUT', path, { body: orders })
  // Else what the client subscribes to may come to be after it has asked.
  await rest.ok('GET', `${path}?minRevision=${revision}`)
  client = new DeltaClient(address, 'web/web-1')
  client.send({ typeUrl: clusterType })
  await client.take()
  client.send({ typeUrl: endpointType, resourceNamesSubscribe: ['orders'] })
  await client.take()
  await client.settle()
  stop.add(async () => {
    client.close()
    abort.abort()
    await running
  })
})

const xdsOf = ({ xds }: { readonly xds?: XdsServer }): XdsServer => {
  if (xds === undefined) throw new Error('the xDS server is not there yet')
  return xds
}

afterEach(async () => {
  for (const end of stop) await end()
  stop.clear()
  await rest.stop()
  await test.destroy()
})

/** Takes whatever comes from now on; the end of the stream ends it. */
const takeAll = async (): Promise<never> => {
  for (;;) await client.take()
}

type Written = { readonly sidecars?: RevisionSidecarsView; readonly revision?: number }

describe('a write that waits for the sidecars it touches', () => {
  it('answers when they have ACKed, whatever it writes', async () => {
    const second = { body: { ...orders, address: '10.0.0.2' } }
    const writes: readonly (readonly [string, string, object?])[] = [
      ['PUT', '/services/orders/instances/orders-2?wait=acked&timeout=20s', second],
      ['PUT', `${path}/override?wait=acked&timeout=20s`, { body: { status: 'maintenance' } }],
      ['PUT', '/documents/Service/orders?wait=acked&timeout=20s', { body: { spec: { protocol: 'http2' } } }],
      ['DELETE', '/documents/Service/orders?wait=acked&timeout=20s'],
      ['DELETE', '/services/orders/instances/orders-2?wait=acked&timeout=20s'],
      ['PUT', `${path}/override?wait=acked&timeout=20s`, { body: { status: 'none' } }],
      ['DELETE', '/services/orders/instances/orders-1?drain=1h&wait=acked&timeout=20s'],
      [
        'POST',
        '/register?wait=acked&timeout=20s',
        { body: { ...orders, port: 81, service: 'orders', id: 'orders-1' } },
      ],
      ['DELETE', '/deregister/orders/orders-1?wait=acked&timeout=20s'],
    ]
    void takeAll()
    for (const [method, url, request] of writes) {
      const { status, revision, body } = await rest.call<Written>(method, url, request)
      expect([200, 201]).toContain(status)
      expect(body.sidecars, `${method} ${url}`).toMatchObject({
        revision,
        complete: true,
        touched: 1,
        acked: 1,
        nacked: 0,
        pending: 0,
        replicas: [{ replica: 'replica-1', state: 'applied', from: revision, to: revision }],
      })
    }
  })

  it('names who refused it, in its own words', async () => {
    const waiting = rest.call<Written>('PUT', `${path}?wait=acked&timeout=20s`, {
      body: { ...orders, port: 81 },
    })
    client.nack(await client.next(), 'I do not like it')
    const { status, body } = await waiting
    expect(status).toBe(200)
    expect(body.sidecars).toMatchObject({
      complete: true,
      nacked: 1,
      nacks: [
        {
          node: 'web/web-1',
          replica: 'replica-1',
          typeUrl: endpointType,
          names: ['orders'],
          message: 'I do not like it',
        },
      ],
    })
  })

  it('names who has not answered when the time is over; the write stands, and can be asked about later', async () => {
    const { status, revision, body } = await rest.call<Written>('PUT', `${path}?wait=acked&timeout=1ms`, {
      body: { ...orders, port: 81 },
    })
    expect(status).toBe(200)
    expect(body.sidecars).toMatchObject({
      complete: false,
      pending: 1,
      waiting: [{ node: 'web/web-1', replica: 'replica-1', typeUrls: [endpointType] }],
    })
    const later = `/revisions/${revision}/sidecars`
    expect((await rest.call('GET', later)).body).toMatchObject({ complete: false, touched: 1, pending: 1 })
    const waiting = rest.call('GET', `${later}?wait=acked&timeout=20s`)
    await client.take()
    expect((await waiting).body).toMatchObject({ complete: true, touched: 1, acked: 1 })
  })

  it('waits for what it found to be as wanted already', async () => {
    const { revision } = await rest.ok('PUT', path, { body: { ...orders, port: 81 } })
    const again = rest.call<Written>('PUT', `${path}?wait=acked&timeout=20s`, {
      body: { ...orders, port: 81 },
    })
    void takeAll()
    expect((await again).body.sidecars).toMatchObject({ revision, complete: true, touched: 1, acked: 1 })
  })

  it('answers at once when it touches nobody', async () => {
    const { body } = await rest.ok<Written>('PUT', '/documents/TrafficPolicy/quiet?wait=acked&timeout=20s', {
      body: { spec: { destination: 'nobody-calls-it', outlierDetection: {} } },
    })
    expect(body.sidecars).toMatchObject({ complete: true, touched: 0 })
  })

  it('is refused before it is written when nobody can wait for it', async () => {
    const refusals: readonly (readonly [string, number, string])[] = [
      ['wait=acked&timeout=31s', 400, '?timeout'],
      ['wait=acked&timeout=soon', 400, '?timeout'],
      ['timeout=5s', 400, '?timeout'],
      ['wait=5s', 400, '?wait'],
      ['wait=acked&timeouts=5s', 400, '?timeouts'],
    ]
    for (const [query, status, pointer] of refusals) {
      const refused = await rest.call<ProblemView>('PUT', `${path}?${query}`, {
        body: { ...orders, port: 82 },
      })
      expect([refused.status, refused.body.errors?.[0]?.pointer]).toEqual([status, pointer])
    }
    const change = { body: { ...orders, port: 81 } }
    const waits = [1, 2].map(() => rest.call('PUT', `${path}?wait=acked&timeout=20s`, change))
    await client.next().then(async response => {
      // Both wait by then: nobody else can.
      await eventually(async () => {
        const { status } = await rest.call('GET', '/revisions/1/sidecars?wait=acked&timeout=1ms')
        expect(status).toBe(503)
      })
      const full = await rest.call<ProblemView>('PUT', `${path}?wait=acked`, {
        body: { ...orders, port: 82 },
      })
      expect([full.status, full.body.code]).toEqual([503, 'overloaded'])
      client.ack(response)
    })
    await Promise.all(waits)
    expect((await rest.call('GET', path)).body).toMatchObject({ port: 81 })
  })
})
