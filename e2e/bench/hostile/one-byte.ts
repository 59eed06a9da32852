import { connect, type Socket } from 'node:net'
import { callHeaders, frame, grpcMessage, opening } from '@waymark/control-plane/xds/testing/fuzz-frames.ts'
import { endpointType } from '@waymark/control-plane/xds/type-urls.ts'
import { DeltaDiscoveryRequest } from '@envoyproxy/protos/envoy/service/discovery/v3/discovery.ts'
import { count, type BadClientKind, type BadCounts } from './bad-client.ts'
import { deltaAds } from './stream-kind.ts'

const connections = 200

/** Responses may not be sent until the client opens its window. */
const noWindow = frame({ type: 4, payload: Buffer.from([0, 4, 0, 0, 0, 0]) })
const oneMoreByte = frame({ type: 8, stream: 1, payload: Buffer.from([0, 0, 0, 1]) })
const head = frame({ type: 1, flags: 4, stream: 1, payload: callHeaders(deltaAds) })

/**
 * Half of them have subscribed and take one byte of the response a second. The others send their first request at that pace,
 * each byte in a frame of its own.
 */
export const oneByteASecond: BadClientKind = {
  what: `${connections} x send or read one byte a second`,
  start: ({ address, service }) => {
    const counts: BadCounts = {}
    const request = (number: number): Buffer => {
      const message = DeltaDiscoveryRequest.fromPartial({
        node: { id: `bad/slow-${number}`, cluster: 'bad' },
        typeUrl: endpointType,
        resourceNamesSubscribe: [service],
      })
      return grpcMessage(DeltaDiscoveryRequest.encode(message).finish())
    }
    /** What each socket writes in a second. */
    const steps: (() => void)[] = []
    const open = (number: number): Socket => {
      const socket = connect({ ...address, noDelay: true })
      count(counts, 'opened')
      socket.on('error', () => undefined)
      socket.once('close', () => {
        count(counts, 'closed')
      })
      socket.on('data', (bytes: Buffer) => {
        count(counts, 'bytes read', bytes.length)
      })
      const bytes = request(number)
      let sent = 0
      if (number % 2 === 0) {
        socket.write(Buffer.concat([opening, noWindow, head, frame({ type: 0, stream: 1, payload: bytes })]))
        steps.push(() => socket.write(oneMoreByte))
        return socket
      }
      socket.write(Buffer.concat([opening, head]))
      steps.push(() => {
        socket.write(frame({ type: 0, stream: 1, payload: bytes.subarray(sent, sent + 1) }))
        sent += 1
      })
      return socket
    }
    const sockets = Array.from({ length: connections }, (_, number) => open(number))
    const timer = setInterval(() => {
      for (const [number, step] of steps.entries()) if (sockets[number]?.destroyed === false) step()
    }, 1_000)
    return {
      counts,
      stop: () => {
        clearInterval(timer)
        for (const socket of sockets) socket.destroy()
      },
    }
  },
}
