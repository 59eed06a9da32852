import { connect, type Socket } from 'node:net'
import { eventually } from './eventually.ts'

/** A connection on which a test writes requests as text, and reads what comes as text. */
export class Wire {
  readonly socket: Socket
  text = ''
  /** The other side has sent all that it will. */
  ended = false

  private constructor(socket: Socket) {
    this.socket = socket
    socket.setEncoding('latin1')
    socket.on('data', (chunk: string) => {
      this.text += chunk
    })
    socket.on('error', () => undefined)
    socket.once('end', () => {
      this.ended = true
    })
  }

  static async open(url: string): Promise<Wire> {
    const { hostname, port } = new URL(url)
    const socket = connect({ host: hostname, port: Number(port), allowHalfOpen: true })
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve)
      socket.once('error', reject)
    })
    return new Wire(socket)
  }

  /** Lines below the request line, such as headers, each end with a line break of HTTP. */
  send(requestLine: string, ...headers: readonly string[]): void {
    this.socket.write(`${[requestLine, 'host: localhost', ...headers].join('\r\n')}\r\n\r\n`)
  }

  /** Waits until the text holds all of these, in this order. */
  async has(...parts: readonly string[]): Promise<void> {
    await eventually(() => {
      let from = 0
      for (const part of parts) {
        const at = this.text.indexOf(part, from)
        if (at < 0) throw new Error(`no ${JSON.stringify(part)} in ${JSON.stringify(this.text.slice(from))}`)
        from = at + part.length
      }
    })
  }

  async end(): Promise<void> {
    await eventually(() => {
      if (!this.ended) throw new Error('the connection is open')
    })
  }

  close(): void {
    this.socket.destroy()
  }
}
