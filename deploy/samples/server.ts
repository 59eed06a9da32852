import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import { parseDuration, type Settings } from './settings.ts'
import type { Hop, Upstream } from './upstream.ts'

export interface SampleServerOptions {
  readonly settings: Settings
  readonly upstream: Upstream | null
}

/** What `POST /fail` has asked for. */
interface Misbehaviour {
  readonly until: number
  /** Answered instead of the usual; null: the usual. */
  readonly status: number | null
  readonly delayMs: number
  /** Whether `/healthz` misbehaves too. */
  readonly health: boolean
}

const longestMs = 600_000

/** Reads `?status=500&for=10s&delay=200ms&health=true`; a string says what is wrong. */
export const parseMisbehaviour = (query: URLSearchParams, now: number): Misbehaviour | string => {
  const status = query.get('status')
  if (status !== null && !/^[45]\d\d$/.test(status)) return 'status is a number from 400 to 599'
  const [forMs, delayMs] = [
    parseDuration(query.get('for') ?? '10s'),
    parseDuration(query.get('delay') ?? '0ms'),
  ]
  if (forMs === null || forMs > longestMs) return 'for is a duration of up to 10m, such as 10s'
  if (delayMs === null || delayMs > longestMs) return 'delay is a duration of up to 10m, such as 200ms'
  return {
    until: now + forMs,
    status: status === null ? null : Number(status),
    delayMs,
    health: query.get('health') === 'true',
  }
}

/**
 * Only from this host, and not through a sidecar, which also connects from this host but always marks what it
 * forwards: nobody in the mesh may break an instance.
 */
const isLocal = ({ socket, headers }: IncomingMessage): boolean =>
  ['127.0.0.1', '::1', '::ffff:127.0.0.1'].includes(socket.remoteAddress ?? '') &&
  headers['x-request-id'] === undefined &&
  headers['x-forwarded-proto'] === undefined

const answer = (response: ServerResponse, status: number, body: object): void => {
  response.writeHead(status, { 'content-type': 'application/json' })
  response.end(`${JSON.stringify(body)}\n`)
}

/**
 * A service of the sample mesh. Every path answers with the instances that the request went through, this one
 * first; `/healthz` is for the checks; `POST /fail` makes it misbehave for a while.
 */
export const createSampleServer = ({ settings, upstream }: SampleServerOptions): Server => {
  const self: Hop = {
    service: settings.service,
    instance: settings.instance,
    version: settings.version,
  }
  let misbehaviour: Misbehaviour | null = null

  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    request.resume()
    const url = new URL(request.url ?? '/', 'http://sample')
    if (url.pathname === '/fail') {
      if (request.method !== 'POST') answer(response, 405, { error: 'POST /fail?status=500&for=10s' })
      else if (!isLocal(request))
        answer(response, 403, { error: 'only from this host, not through a sidecar' })
      else {
        const wanted = parseMisbehaviour(url.searchParams, Date.now())
        if (typeof wanted !== 'string') misbehaviour = wanted
        answer(
          response,
          typeof wanted === 'string' ? 400 : 200,
          typeof wanted === 'string' ? { error: wanted } : wanted,
        )
      }
      return
    }
    const health = url.pathname === '/healthz'
    const now = misbehaviour !== null && misbehaviour.until > Date.now() ? misbehaviour : null
    const active = health && now?.health !== true ? null : now
    if (active !== null && active.delayMs > 0) await delay(active.delayMs)
    if (active !== null && active.status !== null) {
      answer(response, active.status, { error: `${self.instance} was told to fail`, path: [self] })
      return
    }
    if (health) {
      answer(response, 200, { status: 'ok' })
      return
    }
    const result = await upstream?.call(request.headers)
    if (result === undefined) answer(response, 200, { path: [self] })
    else if (result.ok) answer(response, 200, { path: [self, ...result.path] })
    else answer(response, 502, { error: result.reason, path: [self] })
  }

  const server = createServer((request, response) => {
    handle(request, response).catch((error: unknown) => {
      response.destroy(error instanceof Error ? error : undefined)
    })
  })
  // Longer than a sidecar keeps an idle connection: closing first could cut off a request on its way.
  server.keepAliveTimeout = 3_700_000
  return server
}
