import type { FastifyReply } from 'fastify'
import type { Revision } from '../../domain/revision.ts'
import { cachingHeader, hardening, noCaching, revisionHeader } from '../exchange.ts'
import { acceptedCoding, compress, type Coding } from './accepted-coding.ts'

export const jsonType = 'application/json; charset=utf-8'

/** An answer that many get: its bytes, and its headers by turns name and value. */
export interface Prepared {
  readonly revision: Revision
  readonly bytes: Buffer
  readonly headers: readonly string[]
  /** Compressed, for those who ask for it. */
  readonly coded: Map<Coding, Pick<Prepared, 'bytes' | 'headers'>>
}

export const prepare = (bytes: Buffer, revision: Revision, tag: string): Prepared => ({
  revision,
  bytes,
  headers: [
    'content-type',
    jsonType,
    revisionHeader,
    String(revision),
    'etag',
    tag,
    cachingHeader,
    noCaching,
    ...Object.entries(hardening).flat(),
    lengthHeader,
    String(bytes.length),
  ],
  coded: new Map(),
})

/**
 * Sends it past fastify's hooks for answers, which would set the same headers and compress the same bytes for each
 * client again. Hooks on an answer that has been sent are called all the same. False: the client asks in a way that
 * wants these hooks.
 */
export const sendPrepared = (reply: FastifyReply, prepared: Prepared): boolean => {
  const { request } = reply
  if (request.method !== 'GET') return false
  const coding = acceptedCoding(request, prepared.bytes.length)
  if (coding === undefined) return false
  const { headers, bytes } = coding === null ? prepared : codedAs(coding, prepared)
  reply.hijack()
  // Node does not change the array, and its types do not say so.
  reply.raw.writeHead(200, headers as string[]).end(bytes)
  return true
}

const lengthHeader = 'content-length'

const codedAs = (
  coding: Coding,
  { bytes, headers, coded }: Prepared,
): Pick<Prepared, 'bytes' | 'headers'> => {
  const known = coded.get(coding)
  if (known !== undefined) return known
  const compressed = compress(bytes, coding)
  const others = headers.slice(0, headers.indexOf(lengthHeader))
  const made = {
    bytes: compressed,
    headers: [
      ...others,
      'vary',
      'accept-encoding',
      'content-encoding',
      coding,
      lengthHeader,
      String(compressed.length),
    ],
  }
  coded.set(coding, made)
  return made
}
