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
  /** A later request is taken in parts; the first one of a type says what goes together. Undefined: it is one part. */
  const parts = (message: Request | MalformedRequest): readonly Request[] | undefined => {
    if ('malformed' in message) return undefined
    if (known.has(message.typeUrl)) return requestParts(message)
    known.add(message.typeUrl)
    return undefined
  }
  const reader = new RequestReader({
    ...options,
    onMessage: bytes => {
      const message = decode(bytes)
      if (first) {
        begin(message)
        return undefined
      }
      const all = parts(message)
      if (all === undefined) {
        onMessage(message)
        return undefined
      }
      return all.map(part => () => {
        onMessage(part)
      })
    },
  })
  const begin = (message: Request | MalformedRequest): void => {
    first = false
    parts(message)
    reader.hold()
    onFirst()
    let later = false
    const leave = admission.enter({
      returning: isReturning(message),
      admit: () => {
        reader.release()
        if (!later) onMessage(message)
        else
          reader.run(() => {
            onMessage(message)
            return undefined
          })
      },
    })
    later = true
    if (leave === undefined) return
    call.once('close', leave)
    call.once('cancelled', leave)
  }
  reader.start()
}

/** It says what it holds of an earlier stream. */
const isReturning = (message: XdsRequest | MalformedRequest): boolean =>
  ('initialVersions' in message && (message.initialVersions as ReadonlyMap<string, string>).size > 0) ||
  ('version' in message && message.version !== '')
