import { once } from 'node:events'
import { createServer, type IncomingMessage, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { json } from 'node:stream/consumers'
import { afterEach, expect, test } from 'vitest'
import { Registration } from './registration.ts'
import { createSampleServer, parseMisbehaviour } from './server.ts'
import { parseDuration, readSettings } from './settings.ts'
import { Upstream } from './upstream.ts'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

const serve = async (listener: RequestListener | ReturnType<typeof createServer>): Promise<URL> => {
  const server = typeof listener === 'function' ? createServer(listener) : listener
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  cleanups.push(() => {
    server.closeAllConnections()
    server.close()
  })
  return new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
}

const base = { SAMPLE_SERVICE: 'orders', SAMPLE_INSTANCE: 'orders-1', SAMPLE_LISTEN: '127.0.0.1:8080' }

test('settings have defaults, and each wrong one is named', () => {
  expect(readSettings({ ...base, SAMPLE_VERSION: 'v2', SAMPLE_SIDECAR_PORT: '15006' })).toMatchObject({
    listen: { host: '127.0.0.1', port: 8_080 },
    address: '127.0.0.1',
    version: 'v2',
    upstream: null,
    sidecarPort: 15_006,
    leaseTtlMs: 5_000,
  })
  for (const [name, value] of [
    ['SAMPLE_SERVICE', ''],
    ['SAMPLE_LISTEN', '8080'],
    ['SAMPLE_LISTEN', '127.0.0.1:99999'],
    ['SAMPLE_DRAIN', '2'],
    ['WAYMARK_API', 'localhost'],
    ['SAMPLE_OUTBOUND', 'https://127.0.0.1'],
    ['SAMPLE_SIDECAR_PORT', 'x'],
  ] as const)
    expect(() => readSettings({ ...base, [name]: value })).toThrow(name)
})

test.each([
  ['500ms', 500],
  ['10s', 10_000],
  ['2m', 120_000],
  ['10', null],
  ['-1s', null],
  ['1h', null],
])('%s is %s ms', (text, ms) => {
  expect(parseDuration(text)).toBe(ms)
})

const chain = async (): Promise<{ web: URL; seen: IncomingMessage['headers'][]; orders: URL }> => {
  const seen: IncomingMessage['headers'][] = []
  const orders = createSampleServer({ settings: readSettings(base), upstream: null })
  orders.prependListener('request', (request: IncomingMessage) => seen.push(request.headers))
  const outbound = await serve(orders)
  const upstream = new Upstream({ service: 'orders', outbound })
  cleanups.push(() => {
    upstream.close()
  })
  const settings = readSettings({ ...base, SAMPLE_SERVICE: 'web', SAMPLE_INSTANCE: 'web-1' })
  return { web: await serve(createSampleServer({ settings, upstream })), seen, orders: outbound }
}

test('answers with the path taken, calls by service name, and passes the trace on', async () => {
  const { web, seen } = await chain()
  const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
  const response = await fetch(web, { headers: { traceparent, cookie: 'secret=1' } })
  expect(await response.json()).toEqual({
    path: [
      { service: 'web', instance: 'web-1', version: null },
      { service: 'orders', instance: 'orders-1', version: null },
    ],
  })
  expect(seen).toEqual([expect.objectContaining({ host: 'orders', traceparent })])
  expect(seen[0]).not.toHaveProperty('cookie')
})

test('an instance that was told to fail fails for callers, not for its check', async () => {
  const { web, orders } = await chain()
  await fetch(new URL('/fail?status=503&for=1m', orders), { method: 'POST' })
  const response = await fetch(web)
  expect(response.status).toBe(502)
  expect(await response.json()).toMatchObject({ error: expect.stringContaining('503') as string })
  expect((await fetch(new URL('/healthz', orders))).status).toBe(200)
  await fetch(new URL('/fail?status=503&for=1m&health=true', orders), { method: 'POST' })
  expect((await fetch(new URL('/healthz', orders))).status).toBe(503)
  await fetch(new URL('/fail?for=0s', orders), { method: 'POST' })
  expect((await fetch(web)).status).toBe(200)
})

test('nobody in the mesh may break an instance', async () => {
  const { web, orders } = await chain()
  const url = new URL('/fail?status=500', orders)
  const forwarded = await fetch(url, { method: 'POST', headers: { 'x-request-id': '1' } })
  expect(forwarded.status).toBe(403)
  expect((await fetch(web)).status).toBe(200)
})

test.each(['status=200', 'status=x', 'for=1h', 'for=11m', 'delay=-1s'])('/fail refuses %s', query => {
  expect(parseMisbehaviour(new URLSearchParams(query), 0)).toEqual(expect.any(String))
})

interface Seen {
  readonly line: string
  readonly body: unknown
}

/** A registry of one instance that answers what it is told to. */
const registry = async (answers: (number | object)[]): Promise<{ url: URL; seen: Seen[] }> => {
  const seen: Seen[] = []
  const url = await serve((request, response) => {
    void json(request)
      .catch(() => null)
      .then(body => {
        seen.push({ line: `${request.method ?? ''} ${request.url ?? ''}`, body })
        const next = answers.shift() ?? 500
        response.statusCode = typeof next === 'number' ? next : 201
        response.end(typeof next === 'number' ? '' : JSON.stringify(next))
      })
  })
  return { url, seen }
}

const registration = (controlPlane: string): Registration =>
  new Registration({
    settings: readSettings({ ...base, WAYMARK_API: controlPlane }),
    log: () => undefined,
    random: () => 0.5,
  })

const path = '/api/v1/services/orders/instances/orders-1'

test('registers, beats, registers again when it is not known any more, deregisters with a drain', async () => {
  const { url, seen } = await registry([{ incarnation: 7 }, 204, 404, { incarnation: 9 }, 204])
  const one = registration(url.href)
  expect(await one.step()).toBeCloseTo(5_000 / 3)
  expect(await one.step()).toBeCloseTo(5_000 / 3)
  expect(await one.step()).toBe(0)
  await one.step()
  expect(await one.deregister(2_000)).toBe(true)
  expect(seen.map(({ line }) => line)).toEqual([
    `PUT ${path}`,
    `PUT ${path}/heartbeat`,
    `PUT ${path}/heartbeat`,
    `PUT ${path}`,
    `DELETE ${path}?incarnation=9&drain=2000ms`,
  ])
  expect(seen[0]?.body).toMatchObject({ address: '127.0.0.1', port: 8_080, lease: { ttl: '5000ms' } })
  expect(seen[1]?.body).toEqual({ incarnation: 7 })
})

test('gives way to a newer process under its id', async () => {
  const { url } = await registry([{ incarnation: 7 }, 409])
  const one = registration(url.href)
  await one.step()
  expect(await one.step()).toBeNull()
})

test('a replica that is away is passed over; waiting grows, but not without bound', async () => {
  const { url, seen } = await registry([{ incarnation: 1 }])
  const gone = 'http://127.0.0.1:9'
  const one = registration(`${gone},${url.href}`)
  expect(await one.step()).toBeLessThanOrEqual(100)
  expect(await one.step()).toBeCloseTo(5_000 / 3)
  expect(seen).toHaveLength(1)
  const alone = registration(gone)
  const waits: (number | null)[] = []
  while (waits.length < 12) waits.push(await alone.step())
  expect(waits[1]).toBeGreaterThan(waits[0] ?? Infinity)
  expect(Math.max(...waits.map(Number))).toBeLessThanOrEqual(2_000)
  expect(await alone.deregister(0)).toBe(false)
})
