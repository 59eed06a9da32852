/** What grpc-js has of a message that is coming; between two, of the last one. */
interface Decoder {
  /** 0: no message has begun. */
  readonly readState: number
  readPartialMessage: Buffer[]
  readCompressFlag: Buffer
}

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
 * Lets go of the last message of a call: grpc-js keeps its parts until the next one begins, so that a client that reports
 * once a minute, with a node of 60 KB each time, costs as much as its configuration. Returns how many bytes it were; 0
 * while the next message is coming, or with a grpc-js that is built differently.
 */
export const forgetMessage = (call: object): number => {
  const decoder = decoderOf(call)
  if (!isDecoder(decoder) || decoder.readState !== 0) return 0
  const bytes = decoder.readPartialMessage.reduce((sum, part) => sum + part.length, 0)
  decoder.readPartialMessage = []
  // One byte of a chunk keeps all of it.
  decoder.readCompressFlag = Buffer.alloc(1)
  return bytes
}
