import { brotliCompressSync, constants, gzipSync, zstdCompressSync } from 'node:zlib'
import type { FastifyRequest } from 'fastify'

const compressors = {
  zstd: (bytes: Buffer): Buffer => zstdCompressSync(bytes),
  br: (bytes: Buffer): Buffer =>
    // The highest quality, zlib's default, takes longer than many answers are worth.
    brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 4 } }),
  gzip: (bytes: Buffer): Buffer => gzipSync(bytes),
} as const

/** A coding of answers (RFC 9110, section 8.4). */
export type Coding = keyof typeof compressors

/** The best first. */
const codings: readonly Coding[] = ['zstd', 'br', 'gzip']

/** Names without weights: what nearly every client sends. */
const plainList = /^[a-z]+(?: *, *[a-z]+)*$/

/** Shorter answers are sent as they are; longer ones are compressed as a stream, not in one turn (bytes). */
export const compressedSizes = { from: 1_024, to: 131_072 } as const

/**
 * The coding of an answer of `size` bytes that many share; null: as it is; undefined: this client asks in a way that is
 * for the plugin to judge, or the answer is too long.
 */
export const acceptedCoding = (
  { headers }: Pick<FastifyRequest, 'headers'>,
  size: number,
): Coding | null | undefined => {
  const accepted = headers['accept-encoding']
  if (accepted === undefined || size < compressedSizes.from) return null
  if (typeof accepted !== 'string' || headers['x-no-compression'] !== undefined) return undefined
  if (size > compressedSizes.to || !plainList.test(accepted)) return undefined
  const names = accepted.split(',').map(name => name.trim())
  return codings.find(coding => names.includes(coding)) ?? null
}

export const compress = (bytes: Buffer, coding: Coding): Buffer => compressors[coding](bytes)
