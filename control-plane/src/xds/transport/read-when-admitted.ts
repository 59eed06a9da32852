import type { Admission } from '../push/admission.ts'
import type { MalformedRequest, XdsRequest } from '../subscription/xds-request.ts'
import { requestParts } from './request-parts.ts'
import { RequestReader, type RequestReaderOptions } from './request-reader.ts'

interface AdmittedReading<Request extends XdsRequest> extends Omit<RequestReaderOptions, 'onMessage'> {
  readonly decode: (bytes: Buffer) => Request | MalformedRequest
  readonly admission: Admission
  /** The first message has come, and waits now. */
  readonly onFirst: () => void
  readonly onMessage: (message: Request | MalformedRequest) => void
}

/**
 * Passes on the messages of a call from the moment its first one is admitted. Until then no other is read: they wait
 * in the transport, bounded by its flow control.
 */
export function readWhenAdmitted<Request extends XdsRequest>(options: AdmittedReading<Request>): void {
  const { call, decode, admission, onFirst, onMessage } = options
  let first = true
  /** Types that have been asked for; a stream that asks for too many is ended. */
  const known = new Set<string>()
  /** What a request amounts to, in parts; undefined: it is one. */
  const parts = (message: Request | MalformedRequest): readonly Request[] | undefined => {
    if ('malformed' in message) return undefined
    const isKnown = known.has(message.typeUrl)
    if (!isKnown) known.add(message.typeUrl)
    return requestParts(message, { first: !isKnown })
  }
  const take = (message: Request | MalformedRequest): readonly (() => void)[] | undefined => {
    const all = parts(message)
    if (all === undefined) onMessage(message)
    return all?.map(part => () => {
      onMessage(part)
    })
  }
  const reader = new RequestReader({
    ...options,
    onMessage: bytes => {
      const message = decode(bytes)
      return first ? begin(message) : take(message)
    },
  })
  const begin = (message: Request | MalformedRequest): readonly (() => void)[] | undefined => {
    first = false
    reader.hold()
    onFirst()
    let later = false
    let steps: readonly (() => void)[] | undefined
    const leave = admission.enter({
      returning: isReturning(message),
      admit: () => {
        if (later) reader.run(() => take(message))
        else steps = take(message)
        // Only now: what has come meanwhile is second.
        reader.release()
      },
    })
    later = true
    if (leave === undefined) return steps
    call.once('close', leave)
    call.once('cancelled', leave)
    return undefined
  }
  reader.start()
}

/** It says what it holds of an earlier stream. */
const isReturning = (message: XdsRequest | MalformedRequest): boolean =>
  ('initialVersions' in message && (message.initialVersions as ReadonlyMap<string, string>).size > 0) ||
  ('version' in message && message.version !== '')
