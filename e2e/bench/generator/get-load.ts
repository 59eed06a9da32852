import { connect, type Socket } from 'node:net'

type OnAnswer = (status: number, bytes: number) => void

const headEnd = Buffer.from('\r\n\r\n')

/**
 * One keep-alive connection that asks for the same path again as soon as its answer is there. It counts what comes
 * and looks at no more of it than the status and the length, so that it costs less than who answers.
 */
export class GetLoad {
  readonly #socket: Socket
  readonly #request: Buffer
  readonly #onAnswer: OnAnswer
  /** What is missing of the answer; 0: its head is awaited. */
  #missing = 0
  #head: Buffer = Buffer.alloc(0)
  #status = 0
  #bytes = 0
  #stopped = false
  #failed: Error | null = null

  private constructor(socket: Socket, path: string, host: string, onAnswer: OnAnswer) {
    this.#socket = socket
    this.#request = Buffer.from(`GET ${path} HTTP/1.1\r\nhost: ${host}\r\n\r\n`)
    this.#onAnswer = onAnswer
    socket.setNoDelay(true)
    socket.on('data', chunk => {
      this.#read(chunk)
    })
    socket.on('error', error => {
      this.#failed = error
    })
  }

  static async open(url: string, path: string, onAnswer: OnAnswer): Promise<GetLoad> {
    const { hostname, port, host } = new URL(url)
    const socket = connect({ host: hostname, port: Number(port) })
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject)
      socket.once('connect', resolve)
    })
    return new GetLoad(socket, path, host, onAnswer)
  }

  start(): void {
    this.#socket.write(this.#request)
  }

  /** Throws when the connection has broken. */
  stop(): void {
    this.#stopped = true
    this.#socket.destroy()
    if (this.#failed !== null) throw this.#failed
  }

  #read(chunk: Buffer): void {
    let rest = chunk
    if (this.#missing === 0) {
      this.#head = this.#head.length === 0 ? chunk : Buffer.concat([this.#head, chunk])
      const end = this.#head.indexOf(headEnd)
      if (end < 0) return
      const head = this.#head.toString('latin1', 0, end)
      this.#status = Number(head.slice(9, 12))
      this.#bytes = Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? 0)
      this.#missing = this.#bytes
      rest = this.#head.subarray(end + headEnd.length)
      this.#head = Buffer.alloc(0)
    }
    this.#missing -= rest.length
    if (this.#missing > 0 || this.#stopped) return
    this.#onAnswer(this.#status, this.#bytes)
    this.#socket.write(this.#request)
  }
}
