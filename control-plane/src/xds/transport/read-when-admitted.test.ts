import { connect } from 'node:net'
import { DeltaDiscoveryRequest } from '@envoyproxy/protos/envoy/service/discovery/v3/discovery.ts'
import { expect, onTestFinished, test } from 'vitest'
import { systemClock, type Clock } from '../../runtime/clock.ts'
import { callHeaders, frame, grpcMessage, opening } from '../testing/fuzz-frames.ts'
import { resource, ServerFixture } from '../testing/server-fixture.ts'
import { endpointType, secretType } from '../type-urls.ts'

const adsPath = '/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources'

const message = (fields: Parameters<typeof DeltaDiscoveryRequest.fromPartial>[0]): Buffer =>
  grpcMessage(DeltaDiscoveryRequest.encode(DeltaDiscoveryRequest.fromPartial(fields)).finish())

/** What a client writes at once: its first message, which alone names the node, and two more. */
const writes = (node: string, stream: number): Buffer => {
  const messages = [
    message({ node: { id: node }, typeUrl: endpointType, resourceNamesSubscribe: ['a'] }),
    message({ typeUrl: endpointType, resourceNamesSubscribe: ['b'] }),
    message({ typeUrl: secretType, resourceNamesSubscribe: ['c'] }),
  ]
  return Buffer.concat([
    frame({ type: 1, flags: 4, stream, payload: callHeaders(adsPath) }),
    frame({ type: 0, stream, payload: Buffer.concat(messages) }),
  ])
}

/** Its turns last so long that all newcomers come within one. */
const clock: Clock = {
  ...systemClock,
  soon: run => {
    systemClock.timer(50, run)
  },
}

test('the messages of newcomers that wait are taken in order', async () => {
  const fixture = await ServerFixture.start({ clock })
  onTestFinished(() => fixture[Symbol.asyncDispose]())
  fixture.put(resource(endpointType, 'a'), resource(endpointType, 'b'), resource(secretType, 'c'))
  const { counters } = fixture.server
  const nodes = Array.from({ length: 50 }, (_, index) => `web/${index}`)
  const socket = connect({ ...fixture.address, noDelay: true })
  socket.resume()
  onTestFinished(() => {
    socket.destroy()
  })
  const streams = nodes.map((node, index) => writes(node, 2 * index + 1))
  socket.write(Buffer.concat([opening, ...streams]))
  await fixture.until(() => counters.refused > 0 || counters.requests === 3 * nodes.length)
  expect(counters.refused).toBe(0)
  expect(counters.delayed).toBeGreaterThan(0)
  for (const node of nodes)
    expect(fixture.server.book.stream(node)?.types.map(({ typeUrl }) => typeUrl)).toEqual([
      endpointType,
      secretType,
    ])
})
