import { CompactedError } from '../domain/revision.ts'
import { errorCatalogue, WaymarkError, type ErrorCode } from '../domain/errors.ts'
import type { ProblemView } from './schemas/problem.ts'

/** What fastify itself refuses, by its documented codes. */
const fastifyCodes: Readonly<Record<string, readonly [ErrorCode, string]>> = {
  FST_ERR_CTP_EMPTY_JSON_BODY: ['malformed_json', 'the body is empty although its type is JSON'],
  FST_ERR_CTP_INVALID_JSON_BODY: ['malformed_json', 'the body cannot be parsed as JSON'],
  FST_ERR_CTP_BODY_TOO_LARGE: ['body_too_large', 'the body is longer than this path accepts'],
  FST_ERR_CTP_INVALID_MEDIA_TYPE: [
    'unsupported_media_type',
    'the body must be JSON: Content-Type: application/json',
  ],
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: ['malformed_http', 'the body is not as long as Content-Length says'],
  FST_ERR_BAD_URL: [
    'malformed_http',
    'the path holds a percent sign without two hexadecimal digits after it',
  ],
  FST_ERR_ASYNC_CONSTRAINT: ['route_not_found', 'there is no such path'],
}

const codeOf = (error: unknown): string | undefined =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined

/** Turns whatever was thrown into an error of the catalogue; what nobody foresaw becomes `internal`. */
export const toWaymarkError = (error: unknown): WaymarkError => {
  if (error instanceof WaymarkError) return error
  if (error instanceof CompactedError) {
    const detail = `${error.message}; read the state anew and go on from its revision`
    return new WaymarkError('compacted', detail, { cause: error })
  }
  const code = codeOf(error) ?? ''
  const known = fastifyCodes[code]
  if (known !== undefined) return new WaymarkError(known[0], known[1], { cause: error })
  if (
    code.startsWith('FST_ERR_') &&
    error instanceof Error &&
    'statusCode' in error &&
    error.statusCode === 400
  ) {
    return new WaymarkError('malformed_http', error.message, { cause: error })
  }
  return new WaymarkError('internal', 'the request failed for a reason that is not its own', { cause: error })
}

/** The problem document (RFC 9457) of an error; `request` names this one answer in the log as well. */
export const toProblem = (error: WaymarkError, request: string): ProblemView => {
  const { status, title } = errorCatalogue[error.code]
  return {
    type: `urn:waymark:error:${error.code}`,
    title,
    status,
    detail: error.message,
    code: error.code,
    instance: `urn:waymark:request:${request}`,
    ...(error.cause instanceof CompactedError ? { oldest: error.cause.oldest } : {}),
    ...(error.fields.length === 0 ? {} : { errors: error.fields.map(field => ({ ...field })) }),
  }
}

/** Whole seconds for `Retry-After`; null where waiting does not help. */
export const retryAfterSeconds = (error: WaymarkError): number | null => {
  if (error.retryAfterMs !== null) return Math.max(1, Math.ceil(error.retryAfterMs / 1_000))
  return errorCatalogue[error.code].status === 503 ? 1 : null
}
