import { createServer, type AddressInfo, type Server as NetServer, type Socket } from 'node:net'
import type { ConnectionInjector } from '@grpc/grpc-js'

export interface ListenAddress {
  readonly host: string
  /** 0: any free port. */
  readonly port: number
}

/**
 * The TCP side of the gRPC server. grpc-js can refuse a call but not cut off a client that takes nothing; with
 * the sockets in our own hands we can.
 */
export class XdsListener {
  readonly #address: ListenAddress
  readonly #server: NetServer
  readonly #sockets = new Map<string, Socket>()

  constructor(options: { address: ListenAddress; maxConnections: number; injector: ConnectionInjector }) {
    this.#address = options.address
    this.#server = createServer({ noDelay: true }, socket => {
      const peer = `${socket.remoteAddress ?? ''}:${socket.remotePort ?? 0}`
      this.#sockets.set(peer, socket)
      socket.on('error', () => undefined)
      socket.once('close', () => this.#sockets.delete(peer))
      options.injector.injectConnection(socket)
    })
    this.#server.maxConnections = options.maxConnections
  }

  /** Resolves with the bound address; rejects when it cannot be had, for instance EADDRINUSE. */
  listen(): Promise<ListenAddress> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen({ host: this.#address.host, port: this.#address.port }, () => {
        this.#server.off('error', reject)
        resolve({ host: this.#address.host, port: (this.#server.address() as AddressInfo).port })
      })
    })
  }

  /** Cuts the connection of a peer, as `call.getPeer()` names it. */
  disconnect(peer: string): void {
    this.#sockets.get(peer)?.destroy()
  }

  /** Takes no new connections. */
  stopAccepting(): void {
    this.#server.close()
  }

  disconnectAll(): void {
    for (const socket of this.#sockets.values()) socket.destroy()
  }
}
