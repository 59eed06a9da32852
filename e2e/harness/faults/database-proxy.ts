import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'

/**
 * One address for a database whose server may change, as a virtual IP or a Kubernetes service is: what fails over
 * keeps its address. It can make every answer late.
 */
export class DatabaseProxy {
  /** Added to every piece of an answer (ms). */
  delayMs = 0
  readonly #server: Server
  readonly #connections = new Set<Socket>()
  #target: URL

  private constructor(target: string) {
    this.#target = new URL(target)
    this.#server = createServer(client => {
      this.#serve(client)
    })
  }

  static async start(target: string): Promise<DatabaseProxy> {
    const proxy = new DatabaseProxy(target)
    await new Promise<void>(resolve => proxy.#server.listen(0, '127.0.0.1', resolve))
    return proxy
  }

  get url(): string {
    const url = new URL(this.#target)
    url.port = String((this.#server.address() as AddressInfo).port)
    return url.href
  }

  /** New connections go there; the old ones end. */
  switchTo(target: string): void {
    this.#target = new URL(target)
    for (const socket of this.#connections) socket.destroy()
  }

  async close(): Promise<void> {
    const closed = new Promise(resolve => this.#server.close(resolve))
    for (const socket of this.#connections) socket.destroy()
    await closed
  }

  #serve(client: Socket): void {
    const server = connect({ host: this.#target.hostname, port: Number(this.#target.port), noDelay: true })
    client.setNoDelay(true)
    for (const [socket, other] of [
      [client, server],
      [server, client],
    ] as const) {
      this.#connections.add(socket)
      socket.on('error', () => undefined)
      socket.on('close', () => {
        this.#connections.delete(socket)
        other.destroy()
      })
    }
    client.on('data', data => server.write(data))
    server.on('data', data => {
      if (this.delayMs === 0) client.write(data)
      else setTimeout(() => client.write(data), this.delayMs)
    })
  }
}
