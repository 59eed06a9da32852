/** The floor of our transport: grpc-js that writes one prepared buffer to each stream and reads what comes back. */
import { Server, ServerCredentials, type ServerDuplexStream } from '@grpc/grpc-js'
import { DeltaDiscoveryResponse } from '@envoyproxy/protos/envoy/service/discovery/v3/discovery.ts'
import { endpointType } from '@waymark/control-plane/xds/type-urls.ts'
import { answerQuestions } from '../bench-process.ts'
import { endpointsBody, portsInTurn } from './endpoints-body.ts'
import type { FanOutSetup, ScatterHandlers } from './fan-out-server.ts'
import { processMemory, runRound, runScatter } from './rounds.ts'

const identity = (bytes: Buffer): Buffer => bytes
const calls = new Set<ServerDuplexStream<Buffer, Buffer>>()
let setup: FanOutSetup = { service: '', endpoints: 0 }
let turn = 0
let messages = 0
let current: Buffer = Buffer.alloc(0)

const prepare = (): void => {
  const { service: name, endpoints } = setup
  turn += 1
  current = Buffer.from(
    DeltaDiscoveryResponse.encode(
      DeltaDiscoveryResponse.fromPartial({
        typeUrl: endpointType,
        nonce: `raw-${turn}`,
        resources: [
          {
            name,
            version: String(turn).padStart(16, '0'),
            resource: {
              typeUrl: endpointType,
              value: Buffer.from(endpointsBody(name, portsInTurn(endpoints, turn))),
            },
          },
        ],
      }),
    ).finish(),
  )
}

const server = new Server({
  'grpc.max_receive_message_length': 4 * 1_024 * 1_024,
  'grpc.max_send_message_length': -1,
  'grpc.enable_channelz': 0,
})
server.addService(
  {
    deltaAggregatedResources: {
      path: '/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources',
      requestStream: true,
      responseStream: true,
      requestSerialize: identity,
      requestDeserialize: identity,
      responseSerialize: identity,
      responseDeserialize: identity,
    },
  },
  {
    deltaAggregatedResources: (call: ServerDuplexStream<Buffer, Buffer>) => {
      let first = true
      call.on('data', () => {
        messages += 1
        if (!first) return
        first = false
        calls.add(call)
        call.write(current)
      })
      call.on('error', () => undefined)
      for (const event of ['end', 'close', 'cancelled']) call.on(event, () => calls.delete(call))
    },
  },
)

const handlers: ScatterHandlers = {
  start: wanted => {
    setup = wanted
    prepare()
    return new Promise((resolve, reject) => {
      server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) => {
        if (error === null) resolve(port)
        else reject(error)
      })
    })
  },
  round: ({ changes, streams }) =>
    runRound({
      changes,
      streams,
      change: () => {
        prepare()
        for (const call of calls) call.write(current)
      },
      acked: () => messages,
    }),
  scatter: options => {
    const streams = [...calls]
    return runScatter({
      ...options,
      change: receivers => {
        prepare()
        for (let left = receivers; left > 0; left -= 1)
          streams[Math.floor(Math.random() * streams.length)]?.write(current)
      },
      acked: () => messages,
    })
  },
  memory: processMemory,
}

answerQuestions(handlers)
