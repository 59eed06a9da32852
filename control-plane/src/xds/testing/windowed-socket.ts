import type { Socket } from 'node:net'

const headBytes = 9
const data = 0
const windowUpdate = 8
/** Before any WINDOW_UPDATE (RFC 9113, section 6.9.2). */
const firstWindow = 65_535

/**
 * Writes the DATA frames of stream 1, the only one of its connection, no sooner than the windows of the stream and of the
 * connection allow: a server that gets more ends the connection with FLOW_CONTROL_ERROR. For a server that changes no
 * settings of flow control.
 */
export class WindowedSocket {
  readonly #socket: Socket
  readonly #frames: Buffer[] = []
  #received = Buffer.alloc(0)
  /** Of the connection, and of the stream. */
  readonly #windows = [firstWindow, firstWindow]

  constructor(socket: Socket) {
    this.#socket = socket
    socket.on('data', bytes => {
      this.#receive(bytes)
    })
  }

  /** `frame`: of DATA; of any other type it is written after those that wait. */
  write(frame: Buffer): void {
    this.#frames.push(frame)
    this.#flush()
  }

  #flush(): void {
    for (let frame = this.#frames[0]; frame !== undefined; frame = this.#frames[0]) {
      const bytes = frame[3] === data ? frame.length - headBytes : 0
      if (this.#windows.some(window => window < bytes)) return
      this.#windows.forEach((window, index) => (this.#windows[index] = window - bytes))
      this.#socket.write(frame)
      this.#frames.shift()
    }
  }

  #receive(bytes: Buffer): void {
    this.#received = Buffer.concat([this.#received, bytes])
    for (;;) {
      const received = this.#received
      const length = received.length < headBytes ? Infinity : headBytes + received.readUIntBE(0, 3)
      if (received.length < length) break
      const stream = received.readUInt32BE(5)
      if (received[3] === windowUpdate)
        this.#windows[stream] = (this.#windows[stream] ?? 0) + received.readUInt32BE(headBytes)
      this.#received = received.subarray(length)
    }
    this.#flush()
  }
}
