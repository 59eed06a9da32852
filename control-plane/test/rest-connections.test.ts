import { afterEach, beforeEach, expect, it } from 'vitest'
import type { RestAnswer } from '../src/rest/server.ts'
import type { RestLimits } from '../src/rest/limits.ts'
import type { StatusView } from '../src/rest/schemas/status.ts'
import { createTestDatabase, type TestDatabase } from './support/database.ts'
import { eventually } from './support/eventually.ts'
import { startRest, type TestRest } from './support/rest.ts'
import { context, instanceSpec } from './support/specs.ts'
import { Wire } from './support/wire.ts'

const list = '/api/v1/services/payments/instances'

let test: TestDatabase
let rest: TestRest
let url: string
let answers: RestAnswer[]
const wires: Wire[] = []

const start = async (limits: Partial<RestLimits> = {}): Promise<void> => {
  answers = []
  rest = await startRest(test, { limits, onAnswer: answer => answers.push(answer) })
  url = await rest.app.listen({ host: '127.0.0.1', port: 0 })
}

beforeEach(async () => {
  test = await createTestDatabase()
})

afterEach(async () => {
  for (const wire of wires.splice(0)) wire.close()
  await rest.stop()
  await test.destroy()
})

const wire = async (): Promise<Wire> => {
  const opened = await Wire.open(url)
  wires.push(opened)
  return opened
}

const register = async (id: string): Promise<number> => {
  const spec = instanceSpec({ lease: null })
  const { revision } = await rest.replica.registry.register({ service: 'payments', id, spec }, context)
  await eventually(() => {
    expect(rest.replica.mesh.revision).toBeGreaterThanOrEqual(revision)
  })
  return revision
}

const watchers = async () => (await rest.ok<StatusView>('GET', '/status')).body.watchers.open

it('an answer that many share has the headers of every answer', async () => {
  await start()
  const revision = await register('a')
  const headersOf = async (headers: Record<string, string>) => {
    const response = await rest.app.inject({ method: 'GET', url: list, headers })
    const { date: _, ...others } = response.headers
    return [response.statusCode, others, response.body] as const
  }
  const shared = await headersOf({})
  expect(shared).toEqual(await headersOf({ 'accept-encoding': 'identity' }))
  expect(shared[1]).toMatchObject({
    'x-waymark-revision': String(revision),
    etag: expect.stringMatching(/^W\/"[\w-]{22}"$/) as string,
  })
  const tag = { 'if-none-match': `W/"x", ${String(shared[1].etag)}` }
  expect((await rest.app.inject({ method: 'GET', url: list, headers: tag })).statusCode).toBe(304)
  expect(answers.map(({ status, route }) => [status, route])).toEqual([
    [200, '/api/v1/services/:service/instances'],
    [200, '/api/v1/services/:service/instances'],
    [304, '/api/v1/services/:service/instances'],
  ])
})

it('a HEAD has the length of the body and no body', async () => {
  await start()
  await register('a')
  const { length } = (await rest.app.inject({ method: 'GET', url: list })).rawPayload
  const one = await wire()
  one.send(`HEAD ${list} HTTP/1.1`, 'connection: close')
  await one.end()
  expect(one.text).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
  expect(one.text).toContain(`\r\ncontent-length: ${length}\r\n`)
  expect(one.text.split('\r\n\r\n')).toEqual([expect.anything(), ''])
})

it('requests on one connection are answered in order, whatever they wait for', async () => {
  await start()
  const index = await register('a')
  const one = await wire()
  one.send(`GET ${list}?index=${index}&wait=30s&fields=id HTTP/1.1`)
  one.send('GET /api/v1/services/payments HTTP/1.1')
  one.send(`GET ${list}?fields=port HTTP/1.1`)
  one.send(`GET /api/v1/watch?from=${index - 1} HTTP/1.1`)
  await eventually(async () => {
    expect(await watchers()).toBe(1)
  })
  expect(one.text).toBe('')
  await register('b')
  await one.has('"id":"b"', '"name":"payments"', '"fields":["port"]', 'retry: 1000', `id: ${index}\n`)
  await register('c')
  await one.has('retry: 1000', `id: ${index}\n`, `id: ${index + 1}\n`, `id: ${index + 2}\n`)
  expect(one.text.match(/HTTP\/1\.1 200 OK/g)).toHaveLength(4)
})

it('a connection takes the next request after a shared answer', async () => {
  await start()
  let index = await register('a')
  const one = await wire()
  for (const id of ['b', 'c', 'd']) {
    one.send(`GET ${list}?index=${index}&wait=30s HTTP/1.1`)
    // The request has come when its answer to the one before it has.
    one.send('GET /healthz HTTP/1.1')
    index = await register(id)
    await one.has(`"revision":${index}`, `"id":"${id}"`, '{"status":"ok"}')
  }
  one.send(`GET ${list}?index=${index}&wait=0s HTTP/1.1`, 'connection: close')
  await one.end()
  expect(one.text.match(/HTTP\/1\.1 200 OK/g)).toHaveLength(7)
})

it('a client of HTTP/1.0 is answered, told of events without chunks, and let go', async () => {
  await start()
  const index = await register('a')
  const [reader, watcher] = [await wire(), await wire()]
  reader.send(`GET ${list}?index=${index}&wait=30s HTTP/1.0`)
  watcher.send(`GET /api/v1/watch?from=${index - 1} HTTP/1.0`)
  await watcher.has('connection: close', '\r\n\r\nretry: 1000\nid: 0\n\nid: 1\nevent: change\ndata: ')
  await register('b')
  await reader.end()
  expect(reader.text).toMatch(/\r\nconnection: close\r\n/i)
  await watcher.has('\n\nid: 2\nevent: change\ndata: ')
})

it('who goes while waiting gives the place back, half closed or reset', async () => {
  await start({ waiting: 1 })
  const index = await register('a')
  const blocking = `GET ${list}?index=${index}&wait=30s HTTP/1.1`
  const freed = async (leave: (one: Wire) => void): Promise<void> => {
    const one = await wire()
    one.send(blocking)
    await eventually(async () => {
      // The call below may have had the only place.
      const refused = one.text.includes(' 503 ')
      one.text = ''
      if (refused) one.send(blocking)
      expect(refused).toBe(false)
      const { status } = await rest.call('GET', `/services/payments/instances?index=${index}&wait=1ms`)
      expect(status).toBe(503)
    })
    leave(one)
    await eventually(async () => {
      const { status } = await rest.call('GET', `/services/payments/instances?index=${index}&wait=1ms`)
      expect(status).toBe(200)
    })
  }
  await freed(({ socket }) => socket.end())
  await freed(({ socket }) => socket.resetAndDestroy())
})

it('clients that go in the middle of a turn cost the others nothing', async () => {
  await start()
  const index = await register('a')
  const readers = await Promise.all(Array.from({ length: 100 }, wire))
  const streams = await Promise.all(Array.from({ length: 60 }, wire))
  for (const one of readers) one.send(`GET ${list}?index=${index}&wait=30s HTTP/1.1`)
  for (const one of streams) one.send('GET /api/v1/watch?services=payments HTTP/1.1')
  for (const one of streams) await one.has('retry: 1000')
  const odd = (_: Wire, position: number): boolean => position % 2 === 1
  // The first that hears of the change takes every second of the others along.
  readers[0]?.socket.once('data', () => {
    for (const one of [...readers, ...streams].filter(odd)) one.socket.resetAndDestroy()
  })
  const revision = await register('b')
  const even = (one: Wire, position: number): boolean => !odd(one, position)
  const staying = readers.filter(even)
  for (const one of staying) await one.has(`"revision":${revision}`, '"id":"b"')
  for (const one of staying) one.send('GET /healthz HTTP/1.1')
  for (const one of staying) await one.has(`"revision":${revision}`, '{"status":"ok"}')
  for (const one of streams.filter(even)) await one.has(`id: ${revision}\n`)
  await eventually(async () => {
    expect(await watchers()).toBe(30)
  })
})

it('a shared answer of a listener that closes ends its connection', async () => {
  await start()
  const index = await register('a')
  const one = await wire()
  one.send(`GET ${list}?index=${index}&wait=30s HTTP/1.1`)
  one.send(`GET ${list}?index=${index}&wait=30s HTTP/1.1`)
  const other = await wire()
  other.send('GET /healthz HTTP/1.1')
  await other.has('{"status":"ok"}')
  await rest.app.close()
  await one.end()
  expect(one.text).toMatch(/\r\nconnection: close\r\n/i)
  expect(one.text).toContain('"id":"a"')
})
