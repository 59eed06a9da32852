import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Revision } from '../../domain/revision.ts'
import { cachingHeader, hardening, noCaching, revisionHeader } from '../exchange.ts'
import { weakTag } from '../etag.ts'

export const jsonType = 'application/json; charset=utf-8'

/** An answer that many get: its bytes, and its headers by turns name and value. */
export interface Prepared {
  readonly revision: Revision
  readonly bytes: Buffer
  readonly headers: readonly string[]
}

/** `since`: see `weakTag`. */
export const prepare = (bytes: Buffer, revision: Revision, since: Revision): Prepared => ({
  revision,
  bytes,
  headers: [
    'content-type',
    jsonType,
    revisionHeader,
    String(revision),
    'etag',
    weakTag(since),
    cachingHeader,
    noCaching,
    ...Object.entries(hardening).flat(),
    'content-length',
    String(bytes.length),
  ],
})

/** Whether the client gets the bytes as they are. */
export const takesPrepared = ({ method, headers }: FastifyRequest): boolean =>
  method === 'GET' && headers['accept-encoding'] === undefined

/**
 * Sends it past fastify's hooks for answers, which would set the same headers for each client again. Hooks on an
 * answer that has been sent are called all the same.
 */
export const sendPrepared = (reply: FastifyReply, { bytes, headers }: Prepared): void => {
  reply.hijack()
  // Node does not change the array, and its types do not say so.
  reply.raw.writeHead(200, headers as string[]).end(bytes)
}
