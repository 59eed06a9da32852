/** What every exchange of a request and its answer has. */
import type { FastifyReply } from 'fastify'

export const revisionHeader = 'x-waymark-revision'

export const cachingHeader = 'cache-control'
export const noCaching = 'no-store'

/** On every answer. */
export const hardening = {
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
} as const

/** Aborts when the client has gone before its answer. */
export const goneSignal = (reply: FastifyReply): AbortSignal => {
  const controller = new AbortController()
  reply.raw.once('close', () => {
    // Aborting makes an error with a stack: not for each answer that has been sent.
    if (!reply.raw.writableFinished) controller.abort()
  })
  return controller.signal
}
