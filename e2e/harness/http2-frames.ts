/** One HTTP/2 DATA frame's payload (RFC 9113, section 6.1), padding removed. */
export interface DataFrame {
  readonly stream: number
  readonly payload: Buffer
}

const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
const headerBytes = 9
const dataType = 0x0
const paddedFlag = 0x8

/** Finds the DATA frames in one direction of an HTTP/2 connection without TLS. */
export class Http2Frames {
  readonly #onData: (frame: DataFrame) => void
  #rest: Buffer = Buffer.alloc(0)
  #started: boolean

  constructor(options: {
    /** The client's side begins with the connection preface. */
    readonly side: 'client' | 'server'
    readonly onData: (frame: DataFrame) => void
  }) {
    this.#started = options.side === 'server'
    this.#onData = options.onData
  }

  push(chunk: Buffer): void {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    if (!this.#started) {
      if (this.#rest.length < preface.length) return
      if (!this.#rest.subarray(0, preface.length).equals(preface)) throw new Error('this is not HTTP/2')
      this.#rest = this.#rest.subarray(preface.length)
      this.#started = true
    }
    for (;;) {
      if (this.#rest.length < headerBytes) return
      const length = this.#rest.readUIntBE(0, 3)
      if (this.#rest.length < headerBytes + length) return
      if (this.#rest[3] === dataType) this.#data(this.#rest.subarray(0, headerBytes + length))
      this.#rest = this.#rest.subarray(headerBytes + length)
    }
  }

  #data(frame: Buffer): void {
    const padded = ((frame[4] ?? 0) & paddedFlag) !== 0
    const body = frame.subarray(headerBytes)
    const padding = padded ? (body[0] ?? 0) : 0
    this.#onData({
      stream: frame.readUInt32BE(5) & 0x7fffffff,
      payload: body.subarray(padded ? 1 : 0, body.length - padding),
    })
  }
}

/** Puts the messages of gRPC streams together (length-prefixed, uncompressed). */
export class GrpcMessages {
  readonly #onMessage: (message: Buffer, stream: number) => void
  readonly #streams = new Map<number, Buffer>()

  constructor(onMessage: (message: Buffer, stream: number) => void) {
    this.#onMessage = onMessage
  }

  push({ stream, payload }: DataFrame): void {
    const before = this.#streams.get(stream)
    let rest = before === undefined ? payload : Buffer.concat([before, payload])
    while (rest.length >= 5) {
      if (rest[0] !== 0) throw new Error('a compressed gRPC message')
      const length = rest.readUInt32BE(1)
      if (rest.length < 5 + length) break
      this.#onMessage(rest.subarray(5, 5 + length), stream)
      rest = rest.subarray(5 + length)
    }
    this.#streams.set(stream, rest)
  }
}
