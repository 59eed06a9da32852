import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, test } from 'vitest'
import { runClient } from './workload.ts'

const turns = 300

/** What a client asks for in each of its turns, of a replica that answers in this way. */
const wishesOf = async (seed: number, answer: (method: string) => number): Promise<string[]> => {
  const wishes = new Map<string, string>()
  const ending = new AbortController()
  const server = createServer((request, response) => {
    const actor = String(request.headers['x-waymark-actor']).replace('-read', '')
    const { pathname } = new URL(request.url ?? '/', 'http://replica')
    if (!wishes.has(actor)) wishes.set(actor, `${actor}: ${request.method ?? ''} ${pathname}`)
    if (wishes.size > turns) ending.abort()
    const revision = { 'x-waymark-revision': String(wishes.size) }
    request.resume().once('end', () => {
      response.writeHead(answer(request.method ?? ''), { 'content-type': 'application/json', ...revision })
      response.end('{"instances":[],"documents":[]}')
    })
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  try {
    const urls = [`http://127.0.0.1:${port}`]
    await runClient({ name: 'c0', seed, urls, pinned: false, signal: ending.signal, record: () => undefined })
  } finally {
    server.closeAllConnections()
    await new Promise(resolve => server.close(resolve))
  }
  // A client may have hung up before it was heard: then the turn is in one list only.
  return [...wishes.values()]
}

test('a seed gives the same wishes, whatever the answers are', async () => {
  const missing = await wishesOf(7, () => 404)
  const found = new Set(await wishesOf(7, method => (method === 'GET' ? 200 : 412)))
  const heardTwice = missing.filter(wish => found.has(wish))
  expect(heardTwice.length).toBeGreaterThan(turns * 0.9)
  // None of the same turn differs.
  const turnOf = (wish: string) => wish.slice(0, wish.indexOf(':'))
  const differs = [...found].filter(
    wish => !missing.includes(wish) && missing.some(other => turnOf(other) === turnOf(wish)),
  )
  expect(differs).toEqual([])
  for (const part of ['/documents/Service/', '/documents/TrafficPolicy/', '/instances:batch', '/override'])
    expect(heardTwice.some(wish => wish.includes(part))).toBe(true)
  const other = new Set(await wishesOf(8, () => 404))
  expect(missing.filter(wish => other.has(wish)).length).toBeLessThan(turns / 2)
})
