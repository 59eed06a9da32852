import { Server, ServerCredentials, type sendUnaryData, type ServerUnaryCall } from '@grpc/grpc-js'
import { decodeSpans, type Span } from './otlp-spans.ts'

const service = {
  export: {
    path: '/opentelemetry.proto.collector.trace.v1.TraceService/Export',
    requestStream: false,
    responseStream: false,
    requestSerialize: (bytes: Buffer) => bytes,
    requestDeserialize: (bytes: Buffer) => bytes,
    responseSerialize: (bytes: Buffer) => bytes,
    responseDeserialize: (bytes: Buffer) => bytes,
  },
}

/** An OTLP collector over gRPC that keeps the spans it is sent. */
export class OtlpReceiver {
  readonly port: number
  readonly spans: Span[] = []
  readonly #server = new Server()

  private constructor(port: number) {
    this.port = port
    this.#server.addService(service, {
      export: (call: ServerUnaryCall<Buffer, Buffer>, done: sendUnaryData<Buffer>) => {
        this.spans.push(...decodeSpans(call.request))
        // An ExportTraceServiceResponse without partial_success: everything was taken.
        done(null, Buffer.alloc(0))
      },
    })
  }

  static async start({ port }: { readonly port: number }): Promise<OtlpReceiver> {
    const receiver = new OtlpReceiver(port)
    await new Promise<void>((resolve, reject) => {
      receiver.#server.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createInsecure(), error => {
        if (error === null) resolve()
        else reject(error)
      })
    })
    return receiver
  }

  get endpoint(): string {
    return `http://127.0.0.1:${this.port}`
  }

  stop(): Promise<void> {
    this.#server.forceShutdown()
    return Promise.resolve()
  }
}
