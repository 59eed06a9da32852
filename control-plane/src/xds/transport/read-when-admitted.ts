import type { ServerDuplexStream } from '@grpc/grpc-js'
import type { Admission } from '../push/admission.ts'
import type { MalformedRequest, XdsRequest } from '../subscription/xds-request.ts'

/**
 * Passes on the messages of a call from the moment its first one is admitted. Until then no other is read: they wait
 * in the transport, bounded by its flow control.
 */
export function readWhenAdmitted<Request extends XdsRequest>(
  call: ServerDuplexStream<Request | MalformedRequest, Buffer>,
  admission: Admission,
  onMessage: (message: Request | MalformedRequest) => void,
): void {
  call.once('data', (message: Request | MalformedRequest) => {
    call.pause()
    const leave = admission.enter({
      returning: isReturning(message),
      admit: () => {
        onMessage(message)
        call.on('data', onMessage)
        call.resume()
      },
    })
    if (leave === undefined) return
    call.once('close', leave)
    call.once('cancelled', leave)
  })
}

/** It says what it holds of an earlier stream. */
const isReturning = (message: XdsRequest | MalformedRequest): boolean =>
  ('initialVersions' in message && (message.initialVersions as ReadonlyMap<string, string>).size > 0) ||
  ('version' in message && message.version !== '')
