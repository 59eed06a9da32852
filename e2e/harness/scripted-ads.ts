/** A delta ADS server that decides nothing: a test reads what Envoy asks and writes every answer by hand. */
import { Server, ServerCredentials, type ServerDuplexStream, type ServiceDefinition } from '@grpc/grpc-js'
import {
  DeltaDiscoveryRequest,
  DeltaDiscoveryResponse,
} from '@envoyproxy/protos/envoy/service/discovery/v3/discovery.ts'
import { eventually } from './eventually.ts'

type Call = ServerDuplexStream<DeltaDiscoveryRequest, DeltaDiscoveryResponse>

export interface ScriptedResource {
  readonly name: string
  readonly version: string
  readonly body: Uint8Array
}

export interface ScriptedAnswer {
  readonly typeUrl: string
  readonly put?: readonly ScriptedResource[]
  readonly remove?: readonly string[]
}

const service = {
  delta: {
    path: '/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources',
    requestStream: true,
    responseStream: true,
    requestSerialize: (request: DeltaDiscoveryRequest) =>
      Buffer.from(DeltaDiscoveryRequest.encode(request).finish()),
    requestDeserialize: (bytes: Buffer) => DeltaDiscoveryRequest.decode(bytes),
    responseSerialize: (response: DeltaDiscoveryResponse) =>
      Buffer.from(DeltaDiscoveryResponse.encode(response).finish()),
    responseDeserialize: (bytes: Buffer) => DeltaDiscoveryResponse.decode(bytes),
  },
} satisfies ServiceDefinition

export class ScriptedAds {
  /** Of all streams, oldest first. */
  readonly requests: DeltaDiscoveryRequest[] = []
  readonly #server = new Server()
  readonly #calls = new Set<Call>()
  #port = 0
  #nonce = 0

  static async start(): Promise<ScriptedAds> {
    const ads = new ScriptedAds()
    await ads.#listen()
    return ads
  }

  private constructor() {
    this.#server.addService(service, {
      delta: (call: Call) => {
        this.#calls.add(call)
        call.on('data', (request: DeltaDiscoveryRequest) => this.requests.push(request))
        call.on('error', () => undefined)
        call.on('close', () => this.#calls.delete(call))
      },
    })
  }

  /** On 127.0.0.1. */
  get port(): number {
    return this.#port
  }

  async #listen(): Promise<void> {
    this.#port = await new Promise<number>((resolve, reject) => {
      this.#server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) => {
        if (error === null) resolve(port)
        else reject(error)
      })
    })
  }

  /** Writes one response to the newest stream; returns its nonce. */
  send({ typeUrl, put = [], remove = [] }: ScriptedAnswer): string {
    const call = [...this.#calls].at(-1)
    if (call === undefined) throw new Error('no Envoy is connected')
    this.#nonce += 1
    const response = DeltaDiscoveryResponse.fromPartial({
      typeUrl,
      nonce: `n${this.#nonce}`,
      resources: put.map(({ name, version, body }) => ({
        name,
        version,
        resource: { typeUrl, value: Buffer.from(body) },
      })),
      removedResources: [...remove],
    })
    call.write(response)
    return response.nonce
  }

  /** Writes one response and waits for its ACK or NACK; resolves with the message of a NACK, else null. */
  async answered(answer: ScriptedAnswer): Promise<string | null> {
    const nonce = this.send(answer)
    const request = await eventually(`an answer about ${answer.typeUrl}`, () =>
      this.requests.find(({ responseNonce }) => responseNonce === nonce),
    )
    return request.errorDetail?.message ?? null
  }

  /** Waits for a request of this type after the first `after` requests. */
  asked(typeUrl: string, after = 0): Promise<DeltaDiscoveryRequest> {
    return eventually(`a request for ${typeUrl}`, () =>
      this.requests.slice(after).find(request => request.typeUrl === typeUrl),
    )
  }

  /** Ends the streams; Envoy comes back by itself. */
  disconnect(): void {
    for (const call of this.#calls) call.end()
  }

  stop(): void {
    this.#server.forceShutdown()
  }
}
