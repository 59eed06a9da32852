import { createServer, type AddressInfo, type Server as NetServer, type Socket } from 'node:net'
import { createServer as createTlsServer, type TLSSocket } from 'node:tls'
import type { ConnectionInjector } from '@grpc/grpc-js'
import type { ReloadedTls } from './tls-material.ts'

export interface ListenAddress {
  readonly host: string
  /** 0: any free port. */
  readonly port: number
}

/** The ends of a connection. */
export type PeerSocket = Pick<Socket, 'remoteAddress' | 'remotePort' | 'localPort'>

/** Why a connection was refused or cut: too many, what is neither HTTP/2 nor TLS, a certificate that does not count. */
export type ConnectionRefusal = 'limit' | 'invalid' | 'unauthenticated'

interface XdsListenerOptions {
  readonly address: ListenAddress
  readonly maxConnections: number
  readonly injector: ConnectionInjector
  /** null: plain text. */
  readonly tls: ReloadedTls | null
  readonly onRefused: (refusal: ConnectionRefusal, peer: string) => void
}

/** A client that has not finished its handshake by then is cut off. */
const handshakeMs = 10_000
/**
 * Connections that may wait to be accepted; the system lowers it to its own limit (`net.core.somaxconn`). With Node's 511
 * half of 5,000 sidecars that came back at once were reset.
 */
const backlog = 16_384

/**
 * The TCP side of the gRPC server. grpc-js can refuse a call but not cut off a client that takes nothing; with
 * the sockets in our own hands we can.
 */
export class XdsListener {
  readonly #address: ListenAddress
  readonly #server: NetServer
  readonly #injector: ConnectionInjector
  readonly #onRefused: XdsListenerOptions['onRefused']
  readonly #sockets = new Map<string, Socket>()

  constructor(options: XdsListenerOptions) {
    this.#address = options.address
    this.#onRefused = options.onRefused
    this.#injector = options.injector
    this.#server = options.tls === null ? this.#plain() : this.#encrypted(options.tls)
    this.#server.maxConnections = options.maxConnections
    this.#server.on('drop', data => {
      this.#onRefused('limit', `${data?.remoteAddress ?? ''}:${data?.remotePort ?? 0}`)
    })
  }

  /** The connection is one of this server's. */
  owns(socket: PeerSocket): boolean {
    return this.#sockets.get(peerOf(socket))?.localPort === socket.localPort
  }

  #plain(): NetServer {
    return createServer({ noDelay: true }, socket => {
      this.#track(socket)
      this.#injector.injectConnection(socket)
    })
  }

  /**
   * TLS ends here, not in grpc-js: so new certificates are for new connections only, and the sockets stay in our
   * hands. A client without a certificate gets in, since it may have a token; one with a wrong certificate does not.
   */
  #encrypted(tls: ReloadedTls): NetServer {
    const { context, asksForCertificate } = tls.value
    const server = createTlsServer(
      {
        ...context,
        noDelay: true,
        requestCert: asksForCertificate,
        rejectUnauthorized: false,
        ALPNProtocols: ['h2'],
        handshakeTimeout: handshakeMs,
      },
      (socket: TLSSocket) => {
        if (!socket.authorized && socket.getPeerX509Certificate() !== undefined) {
          this.#onRefused('unauthenticated', peerOf(socket))
          socket.destroy()
          return
        }
        this.#track(socket)
        this.#injector.injectConnection(socket)
      },
    )
    // Handshakes under way end with the server, too.
    server.on('connection', (socket: Socket) => {
      this.#track(socket)
    })
    server.on('tlsClientError', ({ code }: NodeJS.ErrnoException, socket) => {
      if (code?.startsWith('ERR_') === true) this.#onRefused('invalid', peerOf(socket))
    })
    tls.onChange(changed => {
      server.setSecureContext(changed.context)
    })
    return server
  }

  #track(socket: Socket): void {
    const peer = peerOf(socket)
    this.#sockets.set(peer, socket)
    // With an error of these a session cuts a connection whose frames make no sense.
    socket.on('error', ({ code }: NodeJS.ErrnoException) => {
      if (code === 'ERR_HTTP2_ERROR' || code === 'ERR_HTTP2_TOO_MANY_INVALID_FRAMES') {
        this.#onRefused('invalid', peer)
      }
    })
    socket.once('close', () => {
      if (this.#sockets.get(peer) === socket) this.#sockets.delete(peer)
    })
  }

  /** Resolves with the bound address; rejects when it cannot be had, for instance EADDRINUSE. */
  listen(): Promise<ListenAddress> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject)
      const { host, port } = this.#address
      this.#server.listen({ host, port, backlog }, () => {
        this.#server.off('error', reject)
        resolve({ host, port: (this.#server.address() as AddressInfo).port })
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

/** As `call.getPeer()` names it. */
const peerOf = ({ remoteAddress = '', remotePort = 0 }: PeerSocket): string =>
  `${remoteAddress}:${remotePort}`
