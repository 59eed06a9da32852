/** What every exchange of a request and its answer has. */
import type { FastifyReply } from 'fastify'

export const revisionHeader = 'x-waymark-revision'

/** Aborts when the client has gone before its answer. */
export const goneSignal = (reply: FastifyReply): AbortSignal => {
  const controller = new AbortController()
  reply.raw.once('close', () => {
    controller.abort()
  })
  return controller.signal
}
