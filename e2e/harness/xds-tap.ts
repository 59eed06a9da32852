import { createServer, connect, type Server, type Socket } from 'node:net'
import {
  DeltaDiscoveryRequest,
  DeltaDiscoveryResponse,
} from '@envoyproxy/protos/envoy/service/discovery/v3/discovery.ts'
import { GrpcMessages, Http2Frames } from './http2-frames.ts'
import { shortType } from './xds-types.ts'

/** What the server sent in one response, as it went over the wire. */
export interface TappedResponse {
  /** Counted from 1 in the order in which connections were opened. */
  readonly connection: number
  /** The HTTP/2 stream of that connection. */
  readonly stream: number
  readonly type: string
  readonly names: readonly string[]
  readonly removed: readonly string[]
  /** Encoded resources, without the envelope of the response. */
  readonly resourceBytes: number
}

export interface TappedRequest {
  readonly connection: number
  /** The HTTP/2 stream of that connection. */
  readonly stream: number
  readonly type: string
  readonly subscribe: readonly string[]
  /** How many resources the client said it holds. */
  readonly initialVersions: number
  readonly nack: string | null
}

type StreamId = Pick<TappedRequest, 'connection' | 'stream'>

export interface XdsTapOptions {
  /** Where the control plane's xDS listener is. */
  readonly target: { readonly host: string; readonly port: number }
  readonly port: number
}

/** A TCP proxy between one Envoy and the control plane that reads the delta xDS messages which pass through it. */
export class XdsTap {
  readonly port: number
  readonly requests: TappedRequest[] = []
  readonly responses: TappedResponse[] = []
  /** All bytes of the control plane to Envoy. */
  bytesToClient = 0
  /** All bytes of Envoy to the control plane. */
  bytesToServer = 0
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  #target: XdsTapOptions['target']
  #connections = 0
  #failure: Error | null = null

  private constructor({ target, port }: XdsTapOptions) {
    this.#target = target
    this.port = port
    this.#server = createServer(socket => {
      this.#join(socket)
    })
  }

  static async start(options: XdsTapOptions): Promise<XdsTap> {
    const tap = new XdsTap(options)
    await new Promise<void>((resolve, reject) => {
      tap.#server.once('error', reject)
      tap.#server.listen(options.port, '127.0.0.1', resolve)
    })
    return tap
  }

  get connections(): number {
    return this.#connections
  }

  /** Connections that are open now. */
  get open(): number {
    return this.#sockets.size / 2
  }

  /** Where new connections go. */
  retarget(target: XdsTapOptions['target']): void {
    this.#target = target
  }

  /** Cuts all connections, as a network would. */
  cut(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy()
  }

  async stop(): Promise<void> {
    const closed = new Promise(resolve => this.#server.close(resolve))
    for (const socket of this.#sockets) socket.destroy()
    await closed
    if (this.#failure !== null) throw this.#failure
  }

  #join(client: Socket): void {
    const connection = (this.#connections += 1)
    const server = connect(this.#target)
    for (const [from, to] of [
      [client, server],
      [server, client],
    ] as const) {
      this.#sockets.add(from)
      from.setNoDelay(true)
      from.on('error', () => undefined)
      from.on('close', () => {
        this.#sockets.delete(from)
        to.destroy()
      })
      from.on('end', () => to.end())
      from.on('drain', () => to.resume())
    }
    // Load reports go over the same connection. Each stream begins with a message of the client, of which only a
    // discovery request has a type.
    const discovery = new Map<number, boolean>()
    const toServer = this.#reader('client', (message, stream) => {
      if (!discovery.has(stream)) discovery.set(stream, isDiscovery(message))
      if (discovery.get(stream) === true) this.#request({ connection, stream }, message)
    })
    const toClient = this.#reader('server', (message, stream) => {
      if (discovery.get(stream) === true) this.#response({ connection, stream }, message)
    })
    client.on('data', chunk => {
      this.bytesToServer += chunk.length
      toServer(chunk)
      if (!server.write(chunk)) client.pause()
    })
    server.on('data', chunk => {
      this.bytesToClient += chunk.length
      toClient(chunk)
      if (!client.write(chunk)) server.pause()
    })
  }

  /** A reader that fails is reported at the end and does not disturb the traffic. */
  #reader(
    side: 'client' | 'server',
    onMessage: (message: Buffer, stream: number) => void,
  ): (chunk: Buffer) => void {
    const messages = new GrpcMessages(onMessage)
    const frames = new Http2Frames({
      side,
      onData: frame => {
        messages.push(frame)
      },
    })
    return chunk => {
      try {
        if (this.#failure === null) frames.push(chunk)
      } catch (error) {
        this.#failure = error instanceof Error ? error : new Error(String(error))
      }
    }
  }

  #request(from: StreamId, message: Buffer): void {
    const request = DeltaDiscoveryRequest.decode(message)
    this.requests.push({
      ...from,
      type: shortType(request.typeUrl),
      subscribe: request.resourceNamesSubscribe,
      initialVersions: Object.keys(request.initialResourceVersions).length,
      nack: request.errorDetail?.message ?? null,
    })
  }

  #response(to: StreamId, message: Buffer): void {
    const response = DeltaDiscoveryResponse.decode(message)
    this.responses.push({
      ...to,
      type: shortType(response.typeUrl),
      names: response.resources.map(({ name }) => name),
      removed: response.removedResources,
      resourceBytes: response.resources.reduce((sum, { resource }) => sum + (resource?.value.length ?? 0), 0),
    })
  }
}

const isDiscovery = (message: Buffer): boolean =>
  DeltaDiscoveryRequest.decode(message).typeUrl.startsWith('type.googleapis.com/')
