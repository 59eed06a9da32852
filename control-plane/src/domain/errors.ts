/**
 * The one catalogue of errors. `docs/reference/errors.md` documents each; a test compares the two. An error is
 * thrown by whoever notices it and turned into an RFC 9457 problem document at the edge (`rest/problem.ts`).
 */
export const errorCatalogue = {
  invalid_request: { status: 400, title: 'The request does not fit its schema' },
  malformed_json: { status: 400, title: 'The body is not JSON' },
  malformed_http: { status: 400, title: 'The request is not well-formed HTTP' },
  route_not_found: { status: 404, title: 'There is no such path' },
  service_not_found: { status: 404, title: 'There is no such service' },
  instance_not_found: { status: 404, title: 'There is no such instance' },
  document_not_found: { status: 404, title: 'There is no such document' },
  sidecar_not_found: { status: 404, title: 'No sidecar with this node id is known' },
  sink_not_found: { status: 404, title: 'There is no such sink' },
  parked_event_not_found: { status: 404, title: 'The sink has no such parked event' },
  event_type_not_found: { status: 404, title: 'There is no such type of event' },
  method_not_allowed: { status: 405, title: 'The path exists, but not with this method' },
  request_timeout: { status: 408, title: 'The request took too long to arrive' },
  incarnation_conflict: { status: 409, title: 'A newer process has registered under this id' },
  sink_in_use: { status: 409, title: 'The sink is still declared' },
  compacted: { status: 410, title: 'The requested revision is no longer in the log' },
  version_conflict: { status: 412, title: 'The document has changed since it was read' },
  body_too_large: { status: 413, title: 'The body is too large' },
  unsupported_media_type: { status: 415, title: 'The body has an unsupported media type' },
  host_not_allowed: { status: 421, title: 'This listener does not answer for that host name' },
  invalid_document: { status: 422, title: 'The document says something impossible' },
  past_too_far: { status: 422, title: 'Too much has changed since to rebuild that state' },
  headers_too_large: { status: 431, title: 'The headers are too large' },
  internal: { status: 500, title: 'Waymark failed; the log has the details' },
  overloaded: { status: 503, title: 'Too much is waiting; try again' },
  database_unavailable: { status: 503, title: 'The database cannot be reached' },
  revision_not_reached: { status: 503, title: 'This replica has not applied the requested revision yet' },
  replica_unreachable: { status: 503, title: 'The replica that knows the answer cannot be asked' },
  not_ready: { status: 503, title: 'This replica has not loaded its mesh state yet' },
} as const

export type ErrorCode = keyof typeof errorCatalogue

/** One wrong field of a request. */
export interface FieldError {
  /** JSON pointer into the body (`/lease/ttl`), or `?name` for a query parameter, or `{name}` for a path one. */
  readonly pointer: string
  readonly detail: string
  /** What would be accepted, in words. */
  readonly accepted: string
}

export interface ErrorOptions {
  readonly fields?: readonly FieldError[]
  readonly retryAfterMs?: number
  readonly cause?: unknown
}

/** An error that its receiver can act on. `detail` says what happened to whom; no secrets, no stack. */
export class WaymarkError extends Error {
  override readonly name = 'WaymarkError'
  readonly code: ErrorCode
  readonly fields: readonly FieldError[]
  readonly retryAfterMs: number | null

  constructor(code: ErrorCode, detail: string, options: ErrorOptions = {}) {
    super(detail, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.fields = options.fields ?? []
    this.retryAfterMs = options.retryAfterMs ?? null
  }
}
