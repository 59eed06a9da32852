import { credentials, Metadata, type ClientDuplexStream, type StatusObject } from '@grpc/grpc-js'
import { AggregatedDiscoveryServiceClient } from '@envoyproxy/protos/envoy/service/discovery/v3/ads.ts'
import {
  DeltaDiscoveryRequest,
  type DeepPartial,
  type DeltaDiscoveryResponse,
} from '@envoyproxy/protos/envoy/service/discovery/v3/discovery.ts'
import type { ListenAddress } from '../transport/xds-listener.ts'

/** What a client shows and trusts; all PEM. */
export interface ClientAccess {
  /** Given: TLS with these roots. */
  readonly ca?: string
  readonly certificate?: { readonly certificate: string; readonly key: string }
  readonly token?: string
}

const credentialsOf = ({ ca, certificate }: ClientAccess) =>
  ca === undefined
    ? credentials.createInsecure()
    : credentials.createSsl(
        Buffer.from(ca),
        certificate === undefined ? null : Buffer.from(certificate.key),
        certificate === undefined ? null : Buffer.from(certificate.certificate),
      )

/** A delta ADS client over a real socket whose every message a test writes and reads by hand. */
export class DeltaClient {
  readonly #client: AggregatedDiscoveryServiceClient
  readonly #call: ClientDuplexStream<DeltaDiscoveryRequest, DeltaDiscoveryResponse>
  readonly #received: DeltaDiscoveryResponse[] = []
  readonly #ended = Promise.withResolvers<StatusObject>()
  #waiting: ((response: DeltaDiscoveryResponse) => void) | undefined
  #node: string | undefined

  /** `node`: put into the first message; undefined: none. */
  constructor(address: ListenAddress, node: string | undefined, access: ClientAccess = {}) {
    this.#node = node
    this.#client = new AggregatedDiscoveryServiceClient(
      `${address.host}:${address.port}`,
      credentialsOf(access),
      { 'grpc.use_local_subchannel_pool': 1, 'grpc.max_receive_message_length': -1 },
    )
    const metadata = new Metadata()
    if (access.token !== undefined) metadata.set('authorization', `Bearer ${access.token}`)
    this.#call = this.#client.deltaAggregatedResources(metadata)
    this.#call.on('data', (response: DeltaDiscoveryResponse) => {
      if (this.#waiting === undefined) this.#received.push(response)
      else this.#waiting(response)
      this.#waiting = undefined
    })
    this.#call.on('error', () => undefined)
    this.#call.on('status', (status: StatusObject) => {
      this.#ended.resolve(status)
      this.#client.close()
    })
  }

  /** The status with which the server ended the stream. */
  get ended(): Promise<StatusObject> {
    return this.#ended.promise
  }

  send(request: DeepPartial<DeltaDiscoveryRequest>): void {
    const node = this.#node === undefined ? {} : { node: { id: this.#node, cluster: 'test' } }
    this.#node = undefined
    this.#call.write(DeltaDiscoveryRequest.fromPartial({ ...node, ...request }))
  }

  /** The next response, waited for. */
  next(): Promise<DeltaDiscoveryResponse> {
    const received = this.#received.shift()
    if (received !== undefined) return Promise.resolve(received)
    return new Promise(resolve => {
      this.#waiting = resolve
    })
  }

  /** The next response, ACKed. */
  async take(): Promise<DeltaDiscoveryResponse> {
    const response = await this.next()
    this.ack(response)
    return response
  }

  ack({ typeUrl, nonce }: DeltaDiscoveryResponse): void {
    this.send({ typeUrl, responseNonce: nonce })
  }

  nack({ typeUrl, nonce }: DeltaDiscoveryResponse, message: string): void {
    this.send({ typeUrl, responseNonce: nonce, errorDetail: { code: 13, message, details: [] } })
  }

  /**
   * Resolves with the types of all responses that came before the server had dealt with all that was sent so
   * far: a request that is always answered at once, of a type of its own, comes last. So an empty list proves
   * silence without waiting for time to pass.
   */
  async settle(): Promise<string[]> {
    const typeUrl = `test/${crypto.randomUUID()}`
    this.send({ typeUrl, resourceNamesSubscribe: ['marker'] })
    const types: string[] = []
    for (;;) {
      const response = await this.take()
      if (response.typeUrl === typeUrl) return types
      types.push(response.typeUrl)
    }
  }

  /** Stops reading: the server's bytes stay in the transport. */
  pause(): void {
    this.#call.pause()
  }

  close(): void {
    this.#call.cancel()
    this.#client.close()
  }
}
