import type { Clock } from '../runtime/clock.ts'

export interface HttpPost {
  readonly url: URL
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  readonly timeoutMs: number
  readonly clock: Clock
  readonly signal: AbortSignal
}

export interface HttpAnswer {
  readonly status: number
  /** From `retry-after`, seconds or a date; null: not said. */
  readonly retryAfterMs: number | null
  /** The beginning of the body, on one line. */
  readonly excerpt: string
}

const bodyLimit = 4_096
const excerptLength = 200

/** Reads at most `bodyLimit` bytes and drops the rest. */
const beginning = async (body: ReadableStream<Uint8Array> | null): Promise<string> => {
  if (body === null) return ''
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of body) {
    chunks.push(chunk)
    size += chunk.length
    // Leaving the loop cancels the body.
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
  const { cause } = error
  if (cause instanceof Error) return 'code' in cause ? String(cause.code) : cause.message
  return error.message
}

/** One POST. Redirects are answers, not followed. Rejects when no whole answer came within `timeoutMs`. */
export const httpPost = async (post: HttpPost): Promise<HttpAnswer> => {
  const { url, headers, body, timeoutMs, clock, signal } = post
  const timeout = new AbortController()
  const timer = clock.timer(timeoutMs, () => {
    timeout.abort()
  })
  try {
    const response = await fetch(url, {
      method: 'POST',
      headers,
      body,
      redirect: 'manual',
      signal: AbortSignal.any([signal, timeout.signal]),
    })
    const retryAfterMs = parseRetryAfter(response.headers.get('retry-after'), clock.now())
    return { status: response.status, retryAfterMs, excerpt: await beginning(response.body) }
  } catch (error) {
    if (timeout.signal.aborted) throw new Error(`no answer within ${timeoutMs} ms`, { cause: error })
    throw new Error(`no answer: ${reason(error)}`, { cause: error })
  } finally {
    timer.cancel()
  }
}
