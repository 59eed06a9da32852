import fastify from 'fastify'
import { expect, test } from 'vitest'
import type { RestApp } from './context.ts'
import { installRequestSpans } from './request-spans.ts'

const setUp = async () => {
  const begun: { method: string; route: string; traceparent: string | null }[] = []
  const ended: number[] = []
  const app: RestApp = fastify()
  installRequestSpans(app, request => {
    begun.push(request)
    return { traceparent: 'of the span', end: status => ended.push(status) }
  })
  const seen: unknown[] = []
  for (const url of ['/services/:service', '/services/:service/heartbeat', '/heartbeat/:service']) {
    app.all(url, (request, reply) => {
      seen.push(request.headers['traceparent'])
      void reply.code(url.startsWith('/services') ? 202 : 200).send({})
    })
  }
  await app.ready()
  return { app, begun, ended, seen }
}

test('a request that may write has a span, to which its work belongs, until it is answered', async () => {
  const { app, begun, ended, seen } = await setUp()
  await app.inject({ method: 'PUT', url: '/services/a', headers: { traceparent: 'of the client' } })
  expect(begun).toEqual([{ method: 'PUT', route: '/services/:service', traceparent: 'of the client' }])
  expect(seen).toEqual(['of the span'])
  expect(ended).toEqual([202])
  await app.inject({ method: 'DELETE', url: '/services/a' })
  expect(begun[1]?.traceparent).toBeNull()
})

test.each([
  ['GET', '/services/a'],
  ['POST', '/services/a/heartbeat'],
  ['POST', '/heartbeat/a'],
  ['PUT', '/nowhere'],
] as const)('%s %s has none', async (method, url) => {
  const { app, begun, ended, seen } = await setUp()
  await app.inject({ method, url, headers: { traceparent: 'of the client' } })
  expect([begun, ended]).toEqual([[], []])
  expect(seen.filter(traceparent => traceparent !== 'of the client')).toEqual([])
})
