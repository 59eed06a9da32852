import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { Load } from './load.ts'
import { waitFor } from './wait.ts'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup()
})

const serve = async (listener: RequestListener): Promise<URL> => {
  const server = createServer(listener).listen(0, '127.0.0.1')
  await once(server, 'listening')
  cleanups.push(() => {
    server.closeAllConnections()
    server.close()
  })
  return new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
}

test('every request sent is counted once, as answered by whom or as failed and why', async () => {
  let asked = 0
  const good = await serve((_request, response) => {
    asked += 1
    response.end(JSON.stringify({ path: [{ instance: 'web-1' }, { instance: 'orders-1' }] }))
  })
  const bad = await serve((_request, response) => {
    asked += 1
    response.writeHead(503).end('no healthy upstream')
  })
  const load = new Load({ targets: [good, bad, new URL('http://127.0.0.1:1')], perSecond: 300 })
  load.start()
  await waitFor(() => load.counts.ok >= 10 && load.counts.failed >= 20, {
    what: 'answers',
    timeoutMs: 10_000,
  })
  const { sent, ok, failed, byInstance, failures } = await load.stop()
  expect(ok + failed).toBe(sent)
  expect(byInstance).toEqual(
    new Map([
      ['web-1', ok],
      ['orders-1', ok],
    ]),
  )
  expect(failures.get('503 no healthy upstream')).toBe(asked - ok)
  expect([...failures.keys()].some(reason => reason.includes('ECONNREFUSED'))).toBe(true)
})

test('never more than the given number of requests wait for an answer', async () => {
  let waiting = 0
  let most = 0
  const release: (() => void)[] = []
  const slow = await serve((_request, response) => {
    waiting += 1
    most = Math.max(most, waiting)
    release.push(() => {
      waiting -= 1
      response.end('{}')
    })
  })
  const load = new Load({ targets: [slow], perSecond: 1_000, maxWaiting: 5 })
  load.start()
  await waitFor(() => load.counts.skipped > 20 && waiting === 5, { what: 'the bound', timeoutMs: 10_000 })
  expect(load.counts.sent).toBe(5)
  const stopped = load.stop()
  for (const one of release) one()
  const { sent, ok } = await stopped
  expect({ sent, ok, most }).toEqual({ sent: 5, ok: 5, most: 5 })
})
