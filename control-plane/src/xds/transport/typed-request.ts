import { SessionError } from '../subscription/session.ts'
import type { MalformedRequest, XdsRequest } from '../subscription/xds-request.ts'

/**
 * The request as its session takes it: a service of one type (`typeUrl`) need not be told the type. Throws SessionError for a
 * type that is missing or not of the service (X9).
 */
export function typedRequest<Request extends XdsRequest>(
  message: Request,
  typeUrl: string | undefined,
): Request {
  if (typeUrl === undefined) {
    if (message.typeUrl === '') throw new SessionError(3, 'type_url is required on ADS')
    return message
  }
  if (message.typeUrl === typeUrl) return message
  if (message.typeUrl !== '') throw new SessionError(3, `this service has no other type than ${typeUrl}`)
  return { ...message, typeUrl }
}

/** Ends the stream of a request that cannot be read. */
export const malformedError = ({ malformed, tooLarge }: MalformedRequest): SessionError =>
  tooLarge ? new SessionError(8, malformed) : new SessionError(3, `malformed request: ${malformed}`)
