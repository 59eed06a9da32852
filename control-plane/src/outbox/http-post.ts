import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import { isIP } from 'node:net'
import type { SecureContextOptions } from 'node:tls'
import type { Clock } from '../runtime/clock.ts'
import { deniedAddress, guardedLookup, type AllowsAddress } from './guarded-address.ts'

export interface HttpPosterOptions {
  readonly url: URL
  readonly timeoutMs: number
  readonly clock: Clock
  /** Judges each address before it is connected to; null: all are allowed. */
  readonly allowsAddress: AllowsAddress | null
  /** For https; null: the well-known roots, no client certificate. */
  readonly tls: SecureContextOptions | null
}

export interface HttpPost {
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  readonly signal: AbortSignal
}

export interface HttpAnswer {
  readonly status: number
  /** From `retry-after`, seconds or a date; null: not said. */
  readonly retryAfterMs: number | null
  /** The beginning of the body, on one line; empty for a success. */
  readonly excerpt: string
}

const bodyLimit = 4_096
const excerptLength = 200
/** How long the body of an answer that says yes is waited for. */
const successBodyMs = 250

/** Reads at most `bodyLimit` bytes and drops the rest. */
const beginning = async (body: IncomingMessage): Promise<string> => {
  const chunks: Buffer[] = []
  let size = 0
  // Leaving the loop ends the connection.
  for await (const chunk of body as AsyncIterable<Buffer>) {
    chunks.push(chunk)
    size += chunk.length
    if (size >= bodyLimit) break
  }
  return Buffer.concat(chunks)
    .subarray(0, bodyLimit)
    .toString('utf8')
    .replace(/[\p{Cc}\s]+/gu, ' ')
    .trim()
    .slice(0, excerptLength)
    .toWellFormed()
}

/** RFC 9110 section 10.2.3. */
export const parseRetryAfter = (value: string | null, now: number): number | null => {
  if (value === null) return null
  if (/^\d{1,9}$/.test(value)) return Number(value) * 1_000
  const date = Date.parse(value)
  return Number.isNaN(date) ? null : Math.max(0, date - now)
}

/** The system's word for a failed connection. Never the URL: it may hold a token. */
const reason = (error: unknown): string => {
  if (!(error instanceof Error)) return String(error)
  return 'code' in error ? String(error.code) : error.message
}

/** POSTs to one URL over one kept connection. Redirects are answers, not followed. */
export class HttpPoster {
  readonly #options: HttpPosterOptions
  readonly #agent: HttpAgent

  constructor(options: HttpPosterOptions) {
    this.#options = options
    const { url, allowsAddress, tls } = options
    const settings = {
      keepAlive: true,
      maxSockets: 1,
      ...(allowsAddress === null ? {} : { lookup: guardedLookup(allowsAddress) }),
    }
    this.#agent =
      url.protocol === 'https:' ? new HttpsAgent({ ...tls, ...settings }) : new HttpAgent(settings)
  }

  /** Rejects when no answer came in time; of one that is no success the beginning of its body, too. */
  async post({ headers, body, signal }: HttpPost): Promise<HttpAnswer> {
    const { url, timeoutMs, clock, allowsAddress } = this.#options
    // Names are judged by the lookup, which is not asked for addresses.
    const host = url.hostname.replace(/^\[|\]$/g, '')
    if (allowsAddress !== null && isIP(host) !== 0 && !allowsAddress(host))
      throw new Error(`no answer: ${deniedAddress}`)
    const timeout = new AbortController()
    const timer = clock.timer(timeoutMs, () => {
      timeout.abort()
    })
    try {
      const answer = await this.#send({ headers, body, signal: AbortSignal.any([signal, timeout.signal]) })
      const retryAfterMs = parseRetryAfter(answer.headers['retry-after'] ?? null, clock.now())
      const status = answer.statusCode ?? 0
      if (status < 200 || status >= 300) return { status, retryAfterMs, excerpt: await beginning(answer) }
      // The status says it all: a body that drips or breaks off takes nothing back. The connection is kept if the
      // body ends soon.
      const dripping = clock.timer(Math.min(timeoutMs, successBodyMs), () => {
        answer.destroy()
      })
      await beginning(answer).catch(() => '')
      dripping.cancel()
      return { status, retryAfterMs, excerpt: '' }
    } catch (error) {
      if (timeout.signal.aborted) throw new Error(`no answer within ${timeoutMs} ms`, { cause: error })
      throw new Error(`no answer: ${reason(error)}`, { cause: error })
    } finally {
      timer.cancel()
    }
  }

  close(): void {
    this.#agent.destroy()
  }

  #send({ headers, body, signal }: HttpPost): Promise<IncomingMessage> {
    const { url } = this.#options
    const request = url.protocol === 'https:' ? httpsRequest : httpRequest
    return new Promise((resolve, reject) => {
      const outgoing = request(url, {
        method: 'POST',
        agent: this.#agent,
        headers: { ...headers, 'content-length': String(Buffer.byteLength(body)) },
        signal,
      })
      outgoing.once('response', resolve)
      // Stays: a connection may still report an error after the answer.
      outgoing.on('error', reject)
      // Without a word, when the answer is another protocol.
      outgoing.once('close', () => {
        reject(new Error('the connection was closed'))
      })
      outgoing.end(body)
    })
  }
}
