import { Client, credentials, type ClientDuplexStream, type StatusObject } from '@grpc/grpc-js'
import {
  DeltaDiscoveryRequest,
  DeltaDiscoveryResponse,
  DiscoveryRequest,
  DiscoveryResponse,
} from '@envoyproxy/protos/envoy/service/discovery/v3/discovery.ts'
import type { ListenAddress } from '../transport/xds-listener.ts'

interface Codec<Request, Response> {
  readonly request: {
    fromPartial(fields: object): Request
    encode(message: Request): { finish(): Uint8Array }
  }
  readonly response: { decode(bytes: Uint8Array): Response }
}

export const deltaCodec: Codec<DeltaDiscoveryRequest, DeltaDiscoveryResponse> = {
  request: DeltaDiscoveryRequest,
  response: DeltaDiscoveryResponse,
}
export const sotwCodec: Codec<DiscoveryRequest, DiscoveryResponse> = {
  request: DiscoveryRequest,
  response: DiscoveryResponse,
}

/** A client of any method of any discovery service over a real socket. */
export class StreamClient<Request, Response> implements Disposable {
  readonly #client: Client
  readonly #call: ClientDuplexStream<Request, Response>
  readonly #received: Response[] = []
  readonly #ended = Promise.withResolvers<StatusObject>()
  #waiting: ((response: Response) => void) | undefined
  readonly #codec: Codec<Request, Response>

  constructor(address: ListenAddress, path: string, codec: Codec<Request, Response>) {
    this.#codec = codec
    this.#client = new Client(`${address.host}:${address.port}`, credentials.createInsecure(), {
      'grpc.use_local_subchannel_pool': 1,
    })
    this.#call = this.#client.makeBidiStreamRequest(
      path,
      (message: Request) => Buffer.from(codec.request.encode(message).finish()),
      (bytes: Buffer) => codec.response.decode(bytes),
    )
    this.#call.on('data', (response: Response) => {
      if (this.#waiting === undefined) this.#received.push(response)
      else this.#waiting(response)
      this.#waiting = undefined
    })
    this.#call.on('error', () => undefined)
    this.#call.on('status', (status: StatusObject) => {
      this.#ended.resolve(status)
    })
  }

  /** The status with which the server ended the stream. */
  get ended(): Promise<StatusObject> {
    return this.#ended.promise
  }

  send(fields: object): void {
    this.#call.write(this.#codec.request.fromPartial(fields))
  }

  /** The next response, waited for. */
  next(): Promise<Response> {
    const received = this.#received.shift()
    if (received !== undefined) return Promise.resolve(received)
    return new Promise(resolve => {
      this.#waiting = resolve
    })
  }

  [Symbol.dispose](): void {
    this.#call.cancel()
    this.#client.close()
  }
}
