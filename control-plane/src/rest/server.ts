import compress from '@fastify/compress'
import fastify, { type RouteOptions } from 'fastify'
import type { Socket } from 'node:net'
import { Type } from 'typebox'
import type { RestApp, RestContext, RestParts } from './context.ts'
import { installEdge, sendProblem } from './edge.ts'
import { boundClose, refuseConnection } from './http-server.ts'
import { defaultLimits, type RestLimits } from './limits.ts'
import { describeApi } from './openapi.ts'
import { StateReads } from './read/state-reads.ts'
import { ReadGate } from './read-gate.ts'
import { ReplicaPeers } from './replica-peers.ts'
import { installRequestSpans, type TraceRequest } from './request-spans.ts'
import { batchRoutes } from './routes/batch.ts'
import { changeRoutes } from './routes/changes.ts'
import { documentReadRoutes } from './routes/document-reads.ts'
import { documentRoutes } from './routes/documents.ts'
import { effectiveRoutes } from './routes/effective.ts'
import { instanceReadRoutes } from './routes/instance-reads.ts'
import { heartbeatRoutes } from './routes/heartbeats.ts'
import { instanceHandlers, instanceRoutes } from './routes/instances.ts'
import { loadRoutes } from './routes/load.ts'
import { probeRoutes } from './routes/probes.ts'
import { revisionRoutes } from './routes/revisions.ts'
import { serviceRoutes } from './routes/services.ts'
import { shorthandRoutes } from './routes/shorthand.ts'
import { sidecarConfigRoutes } from './routes/sidecar-config.ts'
import { sidecarRoutes } from './routes/sidecars.ts'
import { sinkRoutes } from './routes/sinks.ts'
import { statusRoutes } from './routes/status.ts'
import { watchRoutes } from './routes/watch.ts'
import { Turns } from './turns.ts'
import { closed } from './schemas/common.ts'
import { problems } from './schemas/problem.ts'
import { createValidatorCompiler } from './validation.ts'
import { WatchHub } from './watch/watch-hub.ts'

export interface RestOptions extends RestParts {
  /** Names this replica in the `instance` of problem documents. */
  readonly replicaId: string
  /**
   * Host names to answer for besides addresses and `localhost`. Absent: names are refused on connections over
   * loopback only (host-guard.ts).
   */
  readonly allowedHosts?: readonly string[]
  readonly limits?: Partial<RestLimits>
  /** The text of `/metrics`; without it there is no such path. */
  readonly metrics?: () => Promise<string>
  /** Absent: no spans. */
  readonly trace?: TraceRequest
  /** Told of every answered request. */
  readonly onAnswer?: (answer: RestAnswer) => void
}

export interface RestAnswer {
  readonly method: string
  /** The pattern of the route, not the path. */
  readonly route: string
  readonly status: number
  readonly seconds: number
}

/** Who reads with a parameter that the path does not have (`at`, for instance) would take the answer for another. */
const takeNoOtherQuery = (route: RouteOptions): void => {
  const { schema } = route
  if (route.method !== 'GET' || schema === undefined || schema.querystring !== undefined) return
  const response = { ...problems('invalid_request'), ...(schema.response as object | undefined) }
  route.schema = { ...schema, querystring: Type.Object({}, closed), response }
}

/**
 * The REST listener, built but not listening. `close()` ends watches and waiting reads first, then waits for
 * the requests in flight.
 */
export const createRest = async (options: RestOptions): Promise<RestApp> => {
  const { mesh, clock, logger, replicaId, allowedHosts, metrics } = options
  const limits: RestLimits = { ...defaultLimits, ...options.limits }
  const { past } = options
  const turns = new Turns({ clock })
  const reads = new ReadGate({ mesh, past, clock, turns, limits })
  const states = new StateReads({ mesh, gate: reads, past, limits })
  const watches = new WatchHub({ mesh, changes: options.changes, clock, turns, logger, limits })
  const unhurried = new WeakSet<Socket>()
  const context: RestContext = { ...options, reads, states, limits, unhurried }
  const peers = new ReplicaPeers({ self: replicaId, replicas: options.replicas, clock, logger })
  let requests = 0

  const app: RestApp = fastify({
    bodyLimit: limits.documentBytes,
    requestTimeout: limits.requestTimeoutMs,
    keepAliveTimeout: limits.keepAliveMs,
    http: {
      maxHeaderSize: limits.headerBytes,
      headersTimeout: limits.requestTimeoutMs,
      // Node looks at its timeouts this often; its default, 30 s, would make them that coarse.
      connectionsCheckingInterval: Math.min(limits.requestTimeoutMs, 5_000),
    },
    // A request that comes on an open connection while closing is served: the parts behind close later.
    return503OnClosing: false,
    forceCloseConnections: 'idle',
    clientErrorHandler: (error, socket) => {
      refuseConnection(error, socket, unhurried)
    },
    genReqId: () => `${replicaId}:${(requests += 1)}`,
    routerOptions: { maxParamLength: 1_024 },
    frameworkErrors: (error, request, reply) => {
      void sendProblem(error, request, reply, { mesh, logger })
    },
  })
  app.server.maxConnections = limits.connections
  app.setValidatorCompiler(createValidatorCompiler())
  // Views are made for their answers; schemas describe them (and a test checks that they tell the truth).
  app.setSerializerCompiler(() => data => JSON.stringify(data))
  // JSON is what the API speaks: no other type gets past its parser.
  app.removeContentTypeParser('text/plain')
  const beginClose = boundClose(app.server, { clock, graceMs: limits.closeGraceMs })
  let closing = false
  app.addHook('preClose', done => {
    closing = true
    beginClose()
    states.close()
    reads.close()
    watches.close()
    done()
  })
  // Else a connection that was busy when closing began would idle on and keep the listener open.
  app.addHook('onSend', (_request, reply, payload, done) => {
    if (closing) void reply.header('connection', 'close')
    done(null, payload)
  })
  installEdge(app, { mesh, logger, allowedHosts })
  const { onAnswer, trace } = options
  if (trace !== undefined) installRequestSpans(app, trace)
  if (onAnswer !== undefined) {
    app.addHook('onResponse', (request, reply, done) => {
      const route = request.routeOptions.url ?? 'none'
      onAnswer({
        method: request.method,
        route,
        status: reply.statusCode,
        seconds: reply.elapsedTime / 1_000,
      })
      done()
    })
  }
  // Of what is not fast to compress, the streams: sidecars' configurations have tens of megabytes.
  await app.register(compress, {
    globalDecompression: false,
    encodings: ['zstd', 'br', 'gzip'],
    threshold: 1_024,
  })
  await describeApi(app)

  probeRoutes(app, context, { metrics })
  await app.register(
    (scope: RestApp, _options, done) => {
      scope.addHook('onRoute', takeNoOtherQuery)
      const handlers = instanceHandlers(context)
      instanceRoutes(scope, context, handlers)
      instanceReadRoutes(scope, context)
      shorthandRoutes(scope, context, handlers)
      batchRoutes(scope, context)
      heartbeatRoutes(scope, context)
      serviceRoutes(scope, context)
      documentRoutes(scope, context)
      documentReadRoutes(scope, context)
      effectiveRoutes(scope, context)
      changeRoutes(scope, context)
      watchRoutes(scope, context, watches)
      sidecarRoutes(scope, context, peers)
      sidecarConfigRoutes(scope, context, peers)
      loadRoutes(scope, context, peers)
      revisionRoutes(scope, context)
      sinkRoutes(scope, context)
      statusRoutes(scope, context, watches)
      done()
    },
    { prefix: '/api/v1' },
  )
  await app.ready()
  return app
}
