import type { FastifyReply, FastifyRequest } from 'fastify'
import { WaymarkError } from '../domain/errors.ts'
import type { MeshState } from '../mesh/mesh-state.ts'
import type { Logger } from '../runtime/logger.ts'
import { AllowedMethods } from './allowed-methods.ts'
import type { RestApp } from './context.ts'
import { cachingHeader, hardening, noCaching, revisionHeader } from './exchange.ts'
import { isAllowedHost } from './host-guard.ts'
import { retryAfterSeconds, toProblem, toWaymarkError } from './problem.ts'
import { problemType } from './schemas/problem.ts'
import { findUnstorable } from './validation.ts'

export interface EdgeOptions {
  readonly mesh: MeshState
  readonly logger: Logger
  readonly allowedHosts: readonly string[] | undefined
}

/** On every answer; also on those that fastify gives before any hook has run. */
const setCommonHeaders = (reply: FastifyReply, { mesh }: Pick<EdgeOptions, 'mesh'>): void => {
  if (!reply.hasHeader(revisionHeader)) void reply.header(revisionHeader, mesh.revision)
  if (!reply.hasHeader(cachingHeader)) void reply.header(cachingHeader, noCaching)
  void reply.headers(hardening)
}

/** Answers with the problem document of whatever was thrown. Only what nobody foresaw is an error in the log. */
export const sendProblem = (
  thrown: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
  options: Pick<EdgeOptions, 'mesh' | 'logger'>,
): FastifyReply => {
  const { logger } = options
  const error = toWaymarkError(thrown)
  const problem = toProblem(error, request.id)
  const fields = { request: problem.instance, method: request.method, url: request.url, code: error.code }
  if (problem.status === 500) logger.error({ ...fields, err: thrown }, 'a request failed')
  else logger.debug({ ...fields, detail: error.message }, 'a request was refused')
  const retryAfter = retryAfterSeconds(error)
  if (retryAfter !== null) void reply.header('retry-after', retryAfter)
  setCommonHeaders(reply, options)
  return reply.code(problem.status).type(problemType).send(JSON.stringify(problem))
}

const checkBody = (body: unknown): void => {
  const pointer = findUnstorable(body)
  if (pointer === undefined) return
  throw new WaymarkError('invalid_request', `${pointer || 'the body'} cannot be stored`, {
    fields: [
      {
        pointer,
        detail: 'holds a NUL character or half a surrogate pair, or is nested too deep',
        accepted: 'Unicode text without NUL, nested at most 32 levels',
      },
    ],
  })
}

/**
 * What holds for every request, whatever its path: which hosts are answered, headers of every answer, and that
 * everything thrown becomes a problem document.
 */
export const installEdge = (app: RestApp, options: EdgeOptions): void => {
  const methods = new AllowedMethods()

  app.addHook('onRoute', ({ url, method }) => {
    methods.add(url, [method].flat())
  })

  const missing = (request: FastifyRequest, reply: FastifyReply): WaymarkError => {
    const path = request.url.split('?', 1)[0] ?? ''
    const allowed = methods.of(path)
    if (allowed.length === 0) return new WaymarkError('route_not_found', `there is no path ${path}`)
    void reply.header('allow', allowed.join(', '))
    return new WaymarkError(
      'method_not_allowed',
      `${request.method} is not a method of ${path}; accepted: ${allowed.join(', ')}`,
    )
  }

  app.addHook('onRequest', (request, reply, done) => {
    const { host } = request.headers
    if (!isAllowedHost({ host, localAddress: request.socket.localAddress }, options.allowedHosts)) {
      const detail = `the Host header names ${JSON.stringify(host ?? '')}`
      const accepted = 'accepted: an IP address, localhost or a configured name'
      done(new WaymarkError('host_not_allowed', `${detail}; ${accepted}`))
    } else if (request.is404) {
      // Before its body is read, about which fastify could have an opinion of its own.
      done(missing(request, reply))
    } else done()
  })

  app.addHook('preValidation', (request, _reply, done) => {
    checkBody(request.body)
    done()
  })

  app.addHook('onSend', (_request, reply, payload, done) => {
    setCommonHeaders(reply, options)
    done(null, payload)
  })

  app.setErrorHandler((error, request, reply) => sendProblem(error, request, reply, options))

  app.setNotFoundHandler((request, reply) => {
    throw missing(request, reply)
  })
}
