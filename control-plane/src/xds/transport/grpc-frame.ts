/** What gRPC puts before each message: whether it is compressed, and four bytes of length. */
export const headBytes = 5

/** A message of these parts with its head, uncompressed. */
export function framedMessage(parts: readonly Uint8Array[]): Buffer {
  const head = Buffer.alloc(headBytes)
  head.writeUInt32BE(
    parts.reduce((sum, { length }) => sum + length, 0),
    1,
  )
  return Buffer.concat([head, ...parts])
}

/** The message without its head. */
export const messageOf = (framed: Buffer): Buffer => framed.subarray(headBytes)

/** The message, if the bytes are just one of no more than `maxBytes` and not compressed. */
export function wholeMessage(bytes: Buffer, maxBytes: number): Buffer | undefined {
  const length = bytes.length - headBytes
  if (length < 0 || length > maxBytes || bytes[0] !== 0 || bytes.readUInt32BE(1) !== length) return undefined
  return messageOf(bytes)
}
