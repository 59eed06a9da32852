/**
 * A tiny HTTP application, in a process of its own so that it can be killed for real. Its only argument is JSON
 * (`TestAppConfig`). Every answer says in `x-instance` who gave it.
 *
 *   GET  /healthz          200, or 503 when told to be unhealthy
 *   POST /control          {status, delayMs, healthy}: what it answers from now on; answers with `mostAtOnce`, the
 *                          most requests that it has worked on at the same time since the last time
 *   GET  /echo             the request's headers
 *   GET  /call?next=a,b    calls service a through its own sidecar, which calls b, ...; answers with the path taken
 *   GET  anything else     who it is
 */
import { createServer, request, type IncomingHttpHeaders, type ServerResponse } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'

interface TestAppConfig {
  readonly instance: string
  readonly host: string
  readonly port: number
  /** Where its sidecar listens for outgoing calls; null: it has none. */
  readonly outboundPort: number | null
}

interface Behaviour {
  status: number
  delayMs: number
  healthy: boolean
}

const config = JSON.parse(process.argv[2] ?? '') as TestAppConfig
const busy = { now: 0, most: 0 }
const behaviour: Behaviour = { status: 200, delayMs: 0, healthy: true }

const answer = (response: ServerResponse, status: number, body: unknown): void => {
  const text = JSON.stringify(body)
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(text),
    'x-instance': config.instance,
  })
  response.end(text)
}

/** Passes on what a trace needs, as every application in a mesh has to. */
const traceHeaders = (headers: IncomingHttpHeaders): Record<string, string> =>
  Object.fromEntries(
    ['traceparent', 'tracestate', 'baggage', 'x-request-id'].flatMap(name => {
      const value = headers[name]
      return typeof value === 'string' && value !== '' ? [[name, value]] : []
    }),
  )

const callNext = (next: readonly string[], headers: IncomingHttpHeaders): Promise<readonly string[]> =>
  new Promise((resolve, reject) => {
    const [service = '', ...rest] = next
    const call = request(
      {
        host: '127.0.0.1',
        port: config.outboundPort ?? 0,
        path: rest.length === 0 ? '/call' : `/call?next=${rest.join(',')}`,
        headers: { ...traceHeaders(headers), host: service },
      },
      response => {
        let body = ''
        response.setEncoding('utf8').on('data', (chunk: string) => {
          body += chunk
        })
        response.on('end', () => {
          if (response.statusCode === 200) resolve((JSON.parse(body) as { path: string[] }).path)
          else reject(new Error(`${service} answered ${response.statusCode ?? 0}: ${body}`))
        })
      },
    )
    call.on('error', reject)
    call.end()
  })

const server = createServer((incoming, response) => {
  const url = new URL(incoming.url ?? '/', 'http://test-app')
  const handle = async (): Promise<void> => {
    let body = ''
    for await (const chunk of incoming) body += String(chunk)
    if (url.pathname === '/control') {
      Object.assign(behaviour, JSON.parse(body))
      answer(response, 200, { ...behaviour, mostAtOnce: busy.most })
      busy.most = busy.now
      return
    }
    if (url.pathname === '/healthz') {
      answer(response, behaviour.healthy ? 200 : 503, { healthy: behaviour.healthy })
      return
    }
    busy.now += 1
    busy.most = Math.max(busy.most, busy.now)
    response.once('close', () => {
      busy.now -= 1
    })
    if (behaviour.delayMs > 0) await delay(behaviour.delayMs)
    if (url.pathname === '/echo') {
      answer(response, behaviour.status, { instance: config.instance, headers: incoming.headers })
    } else if (url.pathname === '/call') {
      const next = (url.searchParams.get('next') ?? '').split(',').filter(name => name !== '')
      const onwards = next.length === 0 ? [] : await callNext(next, incoming.headers)
      answer(response, behaviour.status, { path: [config.instance, ...onwards] })
    } else {
      answer(response, behaviour.status, { instance: config.instance })
    }
  }
  handle().catch((error: unknown) => {
    answer(response, 502, { error: error instanceof Error ? error.message : String(error) })
  })
})
// Longer than any sidecar keeps an idle connection: this side never closes first.
server.keepAliveTimeout = 60_000
server.listen(config.port, config.host, () => {
  console.log('listening')
})
process.once('SIGTERM', () => {
  server.close()
  server.closeAllConnections()
})
