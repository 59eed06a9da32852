/** HTTP/2 frames written and read by hand (RFC 9113), with as few objects as possible. */

export const frameHead = 9
export const messageHead = 5
export const frameType = {
  data: 0,
  headers: 1,
  reset: 3,
  settings: 4,
  ping: 6,
  goAway: 7,
  windowUpdate: 8,
} as const
export const endStream = 0x1
export const acknowledged = 0x1
const endHeaders = 0x4
export const padded = 0x8
/** What HTTP/2 begins with (RFC 9113, section 6.9.2), and the largest frame that every peer takes. */
export const defaultWindow = 65_535
const maxFrame = 16_384
/** What this client lets the server send; topped up before it is used up. */
export const ownWindow = 16 * 1_024 * 1_024

export const frame = (type: number, flags: number, stream: number, payload: Uint8Array): Buffer => {
  const bytes = Buffer.allocUnsafe(frameHead + payload.length)
  bytes.writeUIntBE(payload.length, 0, 3)
  bytes[3] = type
  bytes[4] = flags
  bytes.writeUInt32BE(stream, 5)
  bytes.set(payload, frameHead)
  return bytes
}

const uint32 = (value: number): Buffer => {
  const bytes = Buffer.allocUnsafe(4)
  bytes.writeUInt32BE(value)
  return bytes
}

export const windowUpdate = (stream: number, increment: number): Buffer =>
  frame(frameType.windowUpdate, 0, stream, uint32(increment))

/** A frame's stream is in its head, which is right before the payload. */
export const streamOf = (payload: Buffer): number =>
  new DataView(payload.buffer, payload.byteOffset - 4, 4).getUint32(0)

/** A header field without any compression (RFC 7541, section 6.2.2). */
const field = (name: string, value: string): Buffer =>
  Buffer.concat([
    Buffer.from([0, name.length]),
    Buffer.from(name, 'latin1'),
    Buffer.from([value.length]),
    Buffer.from(value, 'latin1'),
  ])

export const besideStream = 3

export const requestHead = (path: string, stream: number): Buffer => {
  const headers = [
    field(':method', 'POST'),
    field(':scheme', 'http'),
    field(':path', path),
    field(':authority', 'waymark'),
    field('content-type', 'application/grpc'),
    field('te', 'trailers'),
  ]
  return frame(frameType.headers, endHeaders, stream, Buffer.concat(headers))
}

/** What every connection begins with: preface, settings, the request's headers. */
export const openingBytes = (path: string): Buffer => {
  // No dynamic table, so that trailers can be read without a table of their own; a window as large as ours.
  const settings = Buffer.alloc(12)
  settings.writeUInt16BE(1, 0)
  settings.writeUInt16BE(4, 6)
  settings.writeUInt32BE(ownWindow, 8)
  return Buffer.concat([
    Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1'),
    frame(frameType.settings, 0, 0, settings),
    windowUpdate(0, ownWindow - defaultWindow),
    requestHead(path, 1),
  ])
}

/** A gRPC message as the frames of a stream, ready to be written to any connection. */
export const messageFrames = (message: Uint8Array, stream = 1): readonly Buffer[] => {
  const bytes = Buffer.allocUnsafe(messageHead + message.length)
  bytes[0] = 0
  bytes.writeUInt32BE(message.length, 1)
  bytes.set(message, messageHead)
  const frames: Buffer[] = []
  for (let start = 0; start < bytes.length; start += maxFrame)
    frames.push(frame(frameType.data, 0, stream, bytes.subarray(start, start + maxFrame)))
  return frames
}
