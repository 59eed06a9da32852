import type { FastifyRequest } from 'fastify'
import type { RestApp } from './context.ts'

/** Begins the span of a request; returns what its work belongs to, and what ends the span. */
export type TraceRequest = (request: {
  readonly method: string
  /** The pattern of the route, not the path. */
  readonly route: string
  readonly traceparent: string | null
}) => { readonly traceparent: string | null; end(status: number): void }

const safe = new Set(['GET', 'HEAD', 'OPTIONS'])

/** Thousands a second, and none of them is a change. */
const isHeartbeat = (route: string): boolean => route.includes('/heartbeat')

/** Gives each request that may change something a span, and its changes the span's trace context. */
export const installRequestSpans = (app: RestApp, trace: TraceRequest): void => {
  const open = new WeakMap<FastifyRequest, (status: number) => void>()
  app.addHook('onRequest', (request, _reply, done) => {
    const { method, headers } = request
    const route = request.routeOptions.url
    if (route !== undefined && !safe.has(method) && !isHeartbeat(route)) {
      const given = headers['traceparent']
      const span = trace({ method, route, traceparent: typeof given === 'string' ? given : null })
      if (span.traceparent !== null) headers['traceparent'] = span.traceparent
      open.set(request, status => {
        span.end(status)
      })
    }
    done()
  })
  app.addHook('onResponse', (request, reply, done) => {
    open.get(request)?.(reply.statusCode)
    done()
  })
}
