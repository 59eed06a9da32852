import { connect } from 'node:net'
import {
  DeltaDiscoveryRequest,
  DeltaDiscoveryResponse,
} from '@envoyproxy/protos/envoy/service/discovery/v3/discovery.ts'
import { expect, onTestFinished, test } from 'vitest'
import { callHeaders, frame, grpcMessage, opening } from '../testing/fuzz-frames.ts'
import { resource, ServerFixture } from '../testing/server-fixture.ts'
import { endpointType } from '../type-urls.ts'

const adsPath = '/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources'
const dataType = 0
const stuckMs = 1_000

const message = (fields: Parameters<typeof DeltaDiscoveryRequest.fromPartial>[0]): Buffer =>
  frame({
    type: dataType,
    stream: 1,
    payload: grpcMessage(DeltaDiscoveryRequest.encode(DeltaDiscoveryRequest.fromPartial(fields)).finish()),
  })

/** The first message in what a server has written; undefined: it has not come whole. */
const firstMessage = (bytes: Buffer): Buffer | undefined => {
  for (let at = 0; at + 9 <= bytes.length;) {
    const end = at + 9 + bytes.readUIntBE(at, 3)
    if (end > bytes.length) return undefined
    if (bytes[at + 3] === dataType) return bytes.subarray(at + 9 + 5, end)
    at = end
  }
  return undefined
}

test('X19 who has answered is not taken for stuck when the process stood still before it read that', async () => {
  const fixture = await ServerFixture.start({ timings: { stuckMs } })
  onTestFinished(() => fixture[Symbol.asyncDispose]())
  fixture.put(resource(endpointType, 'a'))
  const { counters } = fixture.server
  const socket = connect({ ...fixture.address, noDelay: true })
  onTestFinished(() => {
    socket.destroy()
  })
  let read = Buffer.alloc(0)
  socket.on('data', bytes => {
    read = Buffer.concat([read, bytes])
  })
  const head = frame({ type: 1, flags: 4, stream: 1, payload: callHeaders(adsPath) })
  const greeting = { node: { id: 'web/1' }, typeUrl: endpointType, resourceNamesSubscribe: ['a'] }
  socket.write(Buffer.concat([opening, head, message(greeting)]))
  await fixture.until(() => firstMessage(read) !== undefined)
  const { nonce } = DeltaDiscoveryResponse.decode(firstMessage(read) ?? read)
  // Timers are what runs next.
  await new Promise(resolve => setImmediate(resolve))
  socket.write(message({ typeUrl: endpointType, responseNonce: nonce }))
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, stuckMs + 200)
  await fixture.until(() => counters.acks + counters.closedStuck > 0)
  expect(counters).toMatchObject({ acks: 1, closedStuck: 0 })
})
