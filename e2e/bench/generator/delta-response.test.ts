import { DeltaDiscoveryResponse } from '@envoyproxy/protos/envoy/service/discovery/v3/discovery.ts'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { readDeltaResponse } from './delta-response.ts'

const name = fc.string({ maxLength: 200 })
const version = fc.stringMatching(/^[0-9a-f]{0,16}$/)
const body = fc.uint8Array({ maxLength: 300 })

test('reads what a response says', () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ name, version, body }), { maxLength: 20 }),
      fc.array(
        name.filter(text => text !== ''),
        { maxLength: 5 },
      ),
      version,
      (resources, removed, nonce) => {
        const typeUrl = 'type.googleapis.com/a.B'
        const message = DeltaDiscoveryResponse.fromPartial({
          systemVersionInfo: 'x',
          typeUrl,
          nonce,
          removedResources: removed,
          resources: resources.map(one => ({
            name: one.name,
            version: one.version,
            aliases: ['another'],
            resource: { typeUrl, value: Buffer.from(one.body) },
          })),
        })
        const read = readDeltaResponse(Buffer.from(DeltaDiscoveryResponse.encode(message).finish()))
        expect(read).toEqual({
          typeUrl,
          nonce,
          removed,
          resourceBytes: resources.reduce((sum, one) => sum + one.body.length, 0),
          resources: resources.map(one => ({ ...one, body: Buffer.from(one.body) })),
        })
      },
    ),
  )
})

test('a message that is cut off is an error', () => {
  expect(() => readDeltaResponse(Buffer.from([0x80]))).toThrow(RangeError)
})
