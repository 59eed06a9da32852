import { connect, type Socket } from 'node:net'
import { grpcStatus } from './grpc-status.ts'
import {
  acknowledged,
  besideStream,
  defaultWindow,
  endStream,
  frame,
  frameHead,
  frameType,
  messageHead,
  openingBytes,
  ownWindow,
  padded,
  requestHead,
  streamOf,
  windowUpdate,
} from './http2-frames.ts'

/** How a stream ended: the server's gRPC status, or what cut it off. */
export interface StreamEnd {
  /** null: no status came, the connection or the stream was cut. */
  readonly status: number | null
  readonly reason: string
}

export interface Http2StreamOptions {
  readonly host: string
  readonly port: number
  /** `/package.Service/Method` */
  readonly path: string
  /** The bytes are valid during the call only. */
  readonly onMessage: (message: Buffer) => void
  readonly onEnd: (end: StreamEnd) => void
  /** A second stream on the same connection that sends one message and then stays open. */
  readonly beside?: BesideStream | undefined
}

interface BesideStream {
  readonly path: string
  /** Frames of `messageFrames` for `besideStream`. */
  readonly message: () => readonly Buffer[]
  readonly onMessage: () => void
}

/** Opens streams that share what they can: the opening bytes and the read buffer. */
export class Http2Dialer {
  readonly #opening = new Map<string, Buffer>()
  /** Every socket reads into it: what is not used up during the call is copied. */
  readonly #read = Buffer.allocUnsafe(256 * 1_024)

  open(options: Http2StreamOptions): Http2Stream {
    let opening = this.#opening.get(options.path)
    if (opening === undefined) {
      opening = openingBytes(options.path)
      this.#opening.set(options.path, opening)
    }
    return new Http2Stream(options, opening, this.#read)
  }
}

/**
 * One HTTP/2 connection with one gRPC stream, cheap enough to have ten thousand of them in a process: no objects
 * per frame, no header tables, one write per message. It keeps to the flow control of both sides.
 */
export class Http2Stream {
  bytesReceived = 0
  readonly #options: Http2StreamOptions
  readonly #socket: Socket
  /** The beginning of a frame whose end has not come. */
  #rest: Buffer | null = null
  /** The beginning of a message whose end has not come. */
  #message: Buffer[] = []
  #messageBytes = 0
  #connectionWindow = defaultWindow
  #streamWindow = defaultWindow
  #besideWindow = defaultWindow
  #initialWindow = defaultWindow
  #waiting: Buffer[] = []
  #besideWaiting: readonly Buffer[] = []
  #untold = 0
  #ended = false
  #reason = 'the connection was closed'

  constructor(options: Http2StreamOptions, opening: Buffer, buffer: Buffer) {
    this.#options = options
    this.#socket = connect({
      host: options.host,
      port: options.port,
      noDelay: true,
      onread: {
        buffer,
        callback: length => {
          this.#chunk(buffer.subarray(0, length))
          return true
        },
      },
    })
    this.#socket.on('error', error => {
      this.#reason = error.message
    })
    this.#socket.on('close', () => {
      this.#end(null, this.#reason)
    })
    this.#socket.write(opening)
  }

  /** Frames of `messageFrames`; they wait while the server's windows are too small. */
  send(frames: readonly Buffer[]): void {
    if (this.#ended) return
    for (const one of frames) {
      const length = one.length - frameHead
      if (this.#waiting.length > 0 || length > this.#connectionWindow || length > this.#streamWindow)
        this.#waiting.push(one)
      else this.#write(one, length)
    }
  }

  /** Opens the second stream; what was sent before goes first. */
  openBeside(): void {
    const { beside } = this.#options
    if (beside === undefined || this.#ended) return
    this.#socket.write(requestHead(beside.path, besideStream))
    this.#besideWaiting = beside.message()
    this.#flush()
  }

  /** Bytes as they are, whatever the protocol says. */
  sendRaw(bytes: Uint8Array): void {
    if (!this.#ended) this.#socket.write(bytes)
  }

  /** Takes no more bytes from the server until `resume`. */
  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  /** Cuts the connection. */
  close(): void {
    this.#ended = true
    this.#socket.destroy()
  }

  #write(one: Buffer, length: number): void {
    this.#connectionWindow -= length
    this.#streamWindow -= length
    this.#socket.write(one)
  }

  #chunk(chunk: Buffer): void {
    this.bytesReceived += chunk.length
    let bytes = this.#rest === null ? chunk : Buffer.concat([this.#rest, chunk])
    this.#rest = null
    while (bytes.length >= frameHead && !this.#ended) {
      const total = frameHead + bytes.readUIntBE(0, 3)
      if (bytes.length < total) break
      this.#frame(bytes[3] ?? 0, bytes[4] ?? 0, bytes.subarray(frameHead, total))
      bytes = bytes.subarray(total)
    }
    if (bytes.length > 0) this.#rest = Buffer.from(bytes)
  }

  #frame(type: number, flags: number, payload: Buffer): void {
    if (streamOf(payload) === besideStream && type !== frameType.windowUpdate) {
      if (type === frameType.data) this.#options.beside?.onMessage()
      // It must stay: a server that ends it has refused what it was sent.
      else if (type === frameType.reset || (flags & endStream) !== 0) this.#socket.destroy()
      return
    }
    if (type === frameType.data) this.#data(flags, payload)
    else if (type === frameType.windowUpdate) this.#widen(payload)
    else if (type === frameType.ping && (flags & acknowledged) === 0)
      this.#socket.write(frame(frameType.ping, acknowledged, 0, payload))
    else if (type === frameType.settings && (flags & acknowledged) === 0) this.#settings(payload)
    else if (type === frameType.headers && (flags & endStream) !== 0) {
      this.#end(grpcStatus(payload), 'the server ended the stream')
      this.#socket.destroy()
    } else if (type === frameType.reset || type === frameType.goAway) {
      const code = payload.readUInt32BE(type === frameType.reset ? 0 : 4)
      this.#reason = `${type === frameType.reset ? 'RST_STREAM' : 'GOAWAY'} ${code}`
      if (type === frameType.reset) this.#socket.destroy()
    }
  }

  #data(flags: number, payload: Buffer): void {
    const pad = (flags & padded) === 0 ? 0 : (payload[0] ?? 0) + 1
    const body = pad === 0 ? payload : payload.subarray(1, payload.length - pad + 1)
    this.#untold += payload.length
    if (this.#untold > ownWindow / 2) {
      this.#socket.write(Buffer.concat([windowUpdate(0, this.#untold), windowUpdate(1, this.#untold)]))
      this.#untold = 0
    }
    this.#messages(body)
  }

  #messages(body: Buffer): void {
    let bytes = body
    if (this.#messageBytes > 0) {
      this.#message.push(Buffer.from(body))
      this.#messageBytes += body.length
      const length = this.#expected()
      if (length === null || this.#messageBytes < length) return
      bytes = Buffer.concat(this.#message)
      this.#message = []
      this.#messageBytes = 0
    }
    while (bytes.length >= messageHead) {
      const total = messageHead + bytes.readUInt32BE(1)
      if (bytes.length < total) break
      this.#options.onMessage(bytes.subarray(messageHead, total))
      bytes = bytes.subarray(total)
    }
    if (bytes.length === 0) return
    this.#message = [Buffer.from(bytes)]
    this.#messageBytes = bytes.length
  }

  /** The length with its head of the message that has begun; null while even that has not come. */
  #expected(): number | null {
    const [first] = this.#message
    if (first === undefined) return null
    if (first.length >= messageHead) return messageHead + first.readUInt32BE(1)
    if (this.#messageBytes < messageHead) return null
    const joined = Buffer.concat(this.#message)
    this.#message = [joined]
    return messageHead + joined.readUInt32BE(1)
  }

  #settings(payload: Buffer): void {
    for (let at = 0; at + 6 <= payload.length; at += 6) {
      if (payload.readUInt16BE(at) !== 4) continue
      const initial = payload.readUInt32BE(at + 2)
      this.#streamWindow += initial - this.#initialWindow
      this.#besideWindow += initial - this.#initialWindow
      this.#initialWindow = initial
    }
    this.#socket.write(frame(frameType.settings, acknowledged, 0, Buffer.alloc(0)))
    this.#flush()
  }

  #widen(payload: Buffer): void {
    const stream = streamOf(payload)
    const increment = payload.readUInt32BE(0)
    if (stream === 0) this.#connectionWindow += increment
    else if (stream === besideStream) this.#besideWindow += increment
    else this.#streamWindow += increment
    this.#flush()
  }

  #flush(): void {
    let sent = 0
    for (const one of this.#waiting) {
      const length = one.length - frameHead
      if (length > this.#connectionWindow || length > this.#streamWindow) break
      this.#write(one, length)
      sent += 1
    }
    if (sent > 0) this.#waiting = this.#waiting.slice(sent)
    if (this.#waiting.length === 0 && this.#besideWaiting.length > 0) this.#flushBeside()
  }

  #flushBeside(): void {
    let sent = 0
    for (const one of this.#besideWaiting) {
      const length = one.length - frameHead
      if (length > this.#connectionWindow || length > this.#besideWindow) break
      this.#connectionWindow -= length
      this.#besideWindow -= length
      this.#socket.write(one)
      sent += 1
    }
    this.#besideWaiting = this.#besideWaiting.slice(sent)
  }

  #end(status: number | null, reason: string): void {
    if (this.#ended) return
    this.#ended = true
    this.#options.onEnd({ status, reason })
  }
}
