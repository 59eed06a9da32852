/** A gRPC service without generated code: it answers who it is. Messages are UTF-8 text. */
import {
  makeGenericClientConstructor,
  Metadata,
  type sendUnaryData,
  type Server,
  type ServerUnaryCall,
  status,
} from '@grpc/grpc-js'

const text = {
  serialize: (value: string): Buffer => Buffer.from(value),
  deserialize: (bytes: Buffer): string => bytes.toString(),
}

const greeter = {
  hello: {
    path: '/waymark.test.Greeter/Hello',
    requestStream: false,
    responseStream: false,
    requestSerialize: text.serialize,
    requestDeserialize: text.deserialize,
    responseSerialize: text.serialize,
    responseDeserialize: text.deserialize,
  },
} as const

export const GreeterClient = makeGenericClientConstructor(greeter, 'waymark.test.Greeter')

/** What a server does with calls from now on. */
export interface GreeterBehaviour {
  /** A status other than OK that every call gets. */
  readonly code?: status
  /** Calls are answered after this. */
  readonly delayMs?: number
}

/** Adds the service to a server; the answer to every call is `name`. */
export const serveGreeter = (server: Server, name: string, behaviour: () => GreeterBehaviour): void => {
  server.addService(greeter, {
    hello: (_call: ServerUnaryCall<string, string>, callback: sendUnaryData<string>) => {
      const { code = status.OK, delayMs = 0 } = behaviour()
      const answer = () => {
        if (code === status.OK) callback(null, name)
        else callback({ code, details: `${name} was told to fail`, metadata: new Metadata() })
      }
      if (delayMs > 0) setTimeout(answer, delayMs)
      else answer()
    },
  })
}
