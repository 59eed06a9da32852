/** The two messages of grpc.health.v1.Health/Check, framed for gRPC over HTTP/2. */
import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire'

const frameHeader = 5

/** `HealthCheckRequest { string service = 1 }` as one uncompressed message. */
export const healthRequest = (service: string): Buffer => {
  const writer = new BinaryWriter()
  if (service !== '') writer.uint32(10).string(service)
  const message = writer.finish()
  const frame = Buffer.alloc(frameHeader + message.length)
  frame.writeUInt32BE(message.length, 1)
  frame.set(message, frameHeader)
  return frame
}

/** `HealthCheckResponse.ServingStatus`. */
const servingStatuses = ['UNKNOWN', 'SERVING', 'NOT_SERVING', 'SERVICE_UNKNOWN'] as const
const serving = 1

/** Status codes that say something in this call; others stand as numbers. */
const statusNames: Readonly<Record<string, string>> = {
  '4': 'DEADLINE_EXCEEDED',
  '5': 'NOT_FOUND, the server does not know this service',
  '7': 'PERMISSION_DENIED',
  '12': 'UNIMPLEMENTED, the server has no health service',
  '14': 'UNAVAILABLE',
  '16': 'UNAUTHENTICATED',
}

/** `HealthCheckResponse { ServingStatus status = 1 }`; undefined: no such message. */
const servingStatus = (frame: Buffer): number | undefined => {
  if (frame.length < frameHeader || frame.readUInt8(0) !== 0) return undefined
  if (frame.readUInt32BE(1) !== frame.length - frameHeader) return undefined
  try {
    const reader = new BinaryReader(frame.subarray(frameHeader))
    let status = 0
    while (reader.pos < reader.len) {
      const [field, wireType] = reader.tag()
      if (field === 1 && wireType === WireType.Varint) status = reader.int32()
      else reader.skip(wireType)
    }
    return status
  } catch {
    return undefined
  }
}

/** Headers and trailers, as node:http2 gives them. */
export type HealthHeaders = Readonly<Record<string, string | number | readonly string[] | undefined>>

/** What an answer means: `headers` are its headers and trailers, `body` everything between. */
export const healthAnswer = (
  headers: HealthHeaders,
  body: Buffer,
): { readonly ok: boolean; readonly output: string } => {
  const http = Number(headers[':status'] ?? 200)
  if (http !== 200) return { ok: false, output: `HTTP status ${http}` }
  const code = headers['grpc-status']
  if (code === undefined) return { ok: false, output: 'an answer without a gRPC status' }
  const status = String(code)
  if (status !== '0') return { ok: false, output: `gRPC status ${statusNames[status] ?? status}` }
  const said = servingStatus(body)
  if (said === undefined) return { ok: false, output: 'an answer that is no HealthCheckResponse' }
  return { ok: said === serving, output: servingStatuses[said] ?? `status ${said}` }
}
