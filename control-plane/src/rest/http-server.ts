/** What the HTTP listener itself refuses, before fastify sees a request. */
import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import { WaymarkError, type ErrorCode } from '../domain/errors.ts'
import type { Clock } from '../runtime/clock.ts'
import { toProblem } from './problem.ts'
import { problemType } from './schemas/problem.ts'

/** Node's codes for a request that its parser or its timers ended. */
const codes: Readonly<Record<string, readonly [ErrorCode, string]>> = {
  HPE_HEADER_OVERFLOW: ['headers_too_large', 'the request line and headers are longer than 16 KiB'],
  ERR_HTTP_REQUEST_TIMEOUT: ['request_timeout', 'the request did not arrive whole in time'],
}

const reasons: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  408: 'Request Timeout',
  431: 'Request Header Fields Too Large',
}

/**
 * Answers with a problem document on the bare socket, and closes it: what follows could not be trusted. A request that is
 * `unhurried` looks after its time itself.
 */
export const refuseConnection = (
  error: Error & { readonly code?: string },
  socket: Socket,
  unhurried: WeakSet<Socket>,
): void => {
  if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT' && unhurried.has(socket)) return
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy()
    return
  }
  const [code, detail] = codes[error.code ?? ''] ?? ['malformed_http', 'the request cannot be parsed as HTTP']
  const problem = toProblem(new WaymarkError(code, detail), 'unread')
  const body = JSON.stringify(problem)
  socket.end(
    `HTTP/1.1 ${problem.status} ${reasons[problem.status] ?? ''}\r\n` +
      `content-type: ${problemType}\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n` +
      body,
  )
}

/**
 * Makes `close` end in bounded time. Node closes the connections that idle between two requests, but neither those
 * that have never sent one (browsers keep some in reserve) nor those that stop in the middle of one. Returns what
 * to call when closing begins: the former end at once, the latter after `graceMs`.
 */
export const boundClose = (
  server: Server,
  { clock, graceMs }: { clock: Clock; graceMs: number },
): (() => void) => {
  const unused = new Set<Socket>()
  server.on('connection', socket => {
    unused.add(socket)
    socket.once('close', () => {
      unused.delete(socket)
    })
  })
  server.on('request', ({ socket }) => {
    unused.delete(socket)
  })
  return () => {
    for (const socket of unused) socket.destroy()
    const timer = clock.timer(graceMs, () => {
      server.closeAllConnections()
    })
    server.once('close', () => {
      timer.cancel()
    })
  }
}
