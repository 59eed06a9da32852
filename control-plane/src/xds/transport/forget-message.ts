/** What grpc-js has of a message that is coming; between two, of the last one. */
interface Decoder {
  /** 0: no message has begun. */
  readonly readState: number
  readonly readPartialMessage: Buffer[]
  readCompressFlag: Buffer
}

/** Never written to: each message brings its own. */
const noFlag = Buffer.alloc(1)

const isDecoder = (value: unknown): value is Decoder =>
  typeof value === 'object' &&
  value !== null &&
  'readState' in value &&
  'readPartialMessage' in value &&
  'readCompressFlag' in value

/** Of a server's call; grpc-js has no name for it. */
const decoderOf = (call: object): unknown => {
  const inner = 'call' in call ? call.call : undefined
  return typeof inner === 'object' && inner !== null && 'decoder' in inner ? inner.decoder : undefined
}

/**
 * Lets go of the last message of a call: grpc-js keeps its parts until the next one begins, and with them what came in
 * the same read of the connection. A client that reports its load once a minute, with a node of 60 KB each time, would
 * cost as much again as its configuration. False when there is none: the next one is coming, or grpc-js is built
 * differently.
 */
export const forgetMessage = (call: object): boolean => {
  const decoder = decoderOf(call)
  if (!isDecoder(decoder) || decoder.readState !== 0 || decoder.readPartialMessage.length === 0) return false
  decoder.readPartialMessage.length = 0
  // One byte of a chunk keeps all of it.
  decoder.readCompressFlag = noFlag
  return true
}
