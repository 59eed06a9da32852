/** A message as gRPC sends it. */
export const sameBytes = (bytes: Buffer): Buffer => bytes

/** Of a method's definition: both sides hand over and get the bytes of messages, and read and make them themselves. */
export const withoutCodecs = {
  requestSerialize: sameBytes,
  requestDeserialize: sameBytes,
  responseSerialize: sameBytes,
  responseDeserialize: sameBytes,
} as const
