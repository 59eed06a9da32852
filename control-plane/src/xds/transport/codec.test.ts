import {
  DeltaDiscoveryRequest,
  DeltaDiscoveryResponse,
  DiscoveryRequest,
} from '@envoyproxy/protos/envoy/service/discovery/v3/discovery.ts'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { XdsCounters } from '../counters.ts'
import { decodeDeltaRequest, decodeSotwRequest, maxWords } from './decode-request.ts'
import { messageOf } from './grpc-frame.ts'
import type { XdsResource } from '../port.ts'
import { deltaWire } from '../push/encode-response.ts'
import { ResponseEncoder } from '../push/response-encoder.ts'
import { clusterType } from '../type-urls.ts'

const limits = { maxNames: 100 }

const extensions = Array.from({ length: 516 }, (_, index) => ({
  name: `envoy.extension.${index}`,
  category: 'envoy.filters.http',
  typeUrls: [`type.googleapis.com/envoy.extensions.filters.http.extension_${index}.v3.Extension`],
}))

test('a node as large as that of Envoy is read for what matters', () => {
  const bytes = DeltaDiscoveryRequest.encode(
    DeltaDiscoveryRequest.fromPartial({
      node: {
        id: 'web/1',
        cluster: 'web',
        locality: { region: 'eu', zone: 'eu-1', subZone: 'rack' },
        metadata: { other: { deep: [1, 2] }, waymark: { outboundPort: 15001, upstreams: ['a', null] } },
        userAgentName: 'envoy',
        userAgentBuildVersion: { version: { majorNumber: 1, minorNumber: 40, patch: 0 } },
        extensions,
        clientFeatures: ['x'],
      },
      typeUrl: clusterType,
      resourceNamesSubscribe: ['a', '*'],
      resourceNamesUnsubscribe: ['b'],
      initialResourceVersions: { a: '1', __proto__: '2' },
      responseNonce: 'n',
      errorDetail: { code: 13, message: 'no', details: [] },
    }),
  ).finish()
  expect(bytes.length).toBeGreaterThan(50_000)
  expect(decodeDeltaRequest(bytes, limits)).toEqual({
    node: {
      id: 'web/1',
      cluster: 'web',
      locality: { region: 'eu', zone: 'eu-1' },
      metadata: { outboundPort: 15001, upstreams: ['a', null] },
      agent: 'envoy/1.40.0',
      clientFeatures: ['x'],
    },
    typeUrl: clusterType,
    subscribe: ['a', '*'],
    unsubscribe: ['b'],
    initialVersions: new Map([['a', '1']]),
    nonce: 'n',
    error: 'no',
  })
})

test('X14 a request without error_detail has no error, one with an empty message has', () => {
  const decode = (request: Parameters<typeof DeltaDiscoveryRequest.fromPartial>[0]) =>
    decodeDeltaRequest(
      DeltaDiscoveryRequest.encode(DeltaDiscoveryRequest.fromPartial(request)).finish(),
      limits,
    )
  expect(decode({ typeUrl: 't' })).toMatchObject({ error: undefined, node: undefined, nonce: '' })
  expect(decode({ errorDetail: { code: 13 } })).toMatchObject({ error: '' })
})

test('any request survives the way through bytes, and any bytes give a request or a reason', () => {
  const text = fc.string({ unit: 'grapheme' })
  const request = fc.record({
    typeUrl: text,
    resourceNamesSubscribe: fc.array(text),
    resourceNamesUnsubscribe: fc.array(text),
    responseNonce: text,
  })
  fc.assert(
    fc.property(request, message => {
      const bytes = DeltaDiscoveryRequest.encode(DeltaDiscoveryRequest.fromPartial(message)).finish()
      expect(decodeDeltaRequest(bytes, limits)).toMatchObject({
        typeUrl: message.typeUrl,
        subscribe: message.resourceNamesSubscribe,
        unsubscribe: message.resourceNamesUnsubscribe,
        nonce: message.responseNonce,
      })
      const cut = decodeDeltaRequest(bytes.subarray(0, bytes.length - 1), limits)
      if (bytes.length > 1 && message.responseNonce !== '') expect(cut).toHaveProperty('malformed')
    }),
  )
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), bytes => {
      const decoded = decodeDeltaRequest(bytes, limits)
      expect('malformed' in decoded || typeof decoded.typeUrl === 'string').toBe(true)
    }),
  )
})

const resource = (name: string, body = name): XdsResource => ({
  name,
  version: `v-${body}`,
  body: Buffer.from(body),
  revision: 1,
})

test('a response is what the generated code reads, and resources are encoded once', () => {
  const counters = new XdsCounters()
  const encoder = new ResponseEncoder({ noncePrefix: 'p-', counters, wire: deltaWire({ ttl: false }) })
  const resources = [resource('a'), resource('b', 'x'.repeat(300))]
  const content = { typeUrl: clusterType, version: '7' }
  const first = encoder.encode({ ...content, resources, removed: ['gone', 'ünïcode'] }, 0)
  const decoded = DeltaDiscoveryResponse.decode(messageOf(first.framed))
  expect(decoded).toMatchObject({
    typeUrl: clusterType,
    nonce: first.nonce,
    systemVersionInfo: '7',
    removedResources: ['gone', 'ünïcode'],
  })
  expect(
    decoded.resources.map(({ name, version, resource: any }) => [
      name,
      version,
      any?.typeUrl,
      any?.value.length,
    ]),
  ).toEqual([
    ['a', 'v-a', clusterType, 1],
    ['b', `v-${'x'.repeat(300)}`, clusterType, 300],
  ])
  encoder.encode({ ...content, resources: [...resources].reverse(), removed: [] }, 0)
  expect(counters.encodes).toBe(2)
})

test('streams that get the same share one buffer, and none sees a nonce twice', () => {
  const encoder = new ResponseEncoder({
    noncePrefix: 'p-',
    counters: new XdsCounters(),
    wire: deltaWire({ ttl: false }),
  })
  const content = { typeUrl: clusterType, version: undefined, resources: [resource('a')], removed: [] }
  const first = encoder.encode(content, 0)
  expect(encoder.encode({ ...content, resources: [...content.resources] }, 0)).toBe(first)
  const again = encoder.encode(content, first.sequence)
  expect(again.nonce).not.toBe(first.nonce)
  expect(encoder.encode(content, first.sequence)).toBe(again)
  expect(encoder.encode({ ...content, removed: ['a2'] }, 0)).not.toBe(again)
  expect(encoder.encode({ ...content, resources: [resource('a')] }, 0).nonce).not.toBe(again.nonce)
})

test('X7 X22 a resource goes out with its aliases, without a body, and with a TTL where that is set', () => {
  const bodiless = { ...resource('a'), body: null, aliases: ['b', 'c'], ttlMs: 1_500 }
  const content = { typeUrl: clusterType, version: undefined, resources: [bodiless], removed: [] }
  const decode = (ttl: boolean) => {
    const encoder = new ResponseEncoder({
      noncePrefix: '',
      counters: new XdsCounters(),
      wire: deltaWire({ ttl }),
    })
    return DeltaDiscoveryResponse.decode(messageOf(encoder.encode(content, 0).framed))
  }
  const expected = { name: 'a', version: 'v-a', resource: undefined, aliases: ['b', 'c'] }
  expect(decode(false)).toMatchObject({
    systemVersionInfo: '',
    resources: [{ ...expected, ttl: undefined }],
  })
  expect(decode(true).resources).toMatchObject([{ ...expected, ttl: { seconds: 1, nanos: 500_000_000 } }])
})

test('the words of a refusal are cut, and not refused', () => {
  const errorDetail = { code: 13, message: 'w'.repeat(maxWords + 1) }
  const delta = DeltaDiscoveryRequest.encode(DeltaDiscoveryRequest.fromPartial({ errorDetail }))
  const sotw = DiscoveryRequest.encode(DiscoveryRequest.fromPartial({ errorDetail }))
  const error = 'w'.repeat(maxWords)
  expect(decodeDeltaRequest(delta.finish(), limits)).toMatchObject({ error })
  expect(decodeSotwRequest(sotw.finish(), limits)).toMatchObject({ error })
})
