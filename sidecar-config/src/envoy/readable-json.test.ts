import { Secret } from '@envoyproxy/protos/envoy/extensions/transport_sockets/tls/v3/secret.ts'
import { Cluster } from '@envoyproxy/protos/envoy/config/cluster/v3/cluster.ts'
import { expect, it } from 'vitest'
import { readableJson } from './readable-json.ts'

const typeUrl = 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret'
const secretJson = (message: Parameters<typeof Secret.fromPartial>[0]) =>
  JSON.stringify(readableJson(typeUrl, Secret.encode(Secret.fromPartial(message)).finish()))

it('shows a certificate, never its key, as Envoy does', () => {
  const shown = secretJson({
    name: 'leaf',
    tlsCertificate: {
      certificateChain: { inlineString: 'the chain' },
      privateKey: { inlineString: 'the key' },
      password: { inlineBytes: Buffer.from('the password') },
    },
  })
  expect(JSON.parse(shown)).toEqual({
    '@type': typeUrl,
    name: 'leaf',
    tlsCertificate: {
      certificateChain: { inlineString: 'the chain' },
      privateKey: { inlineString: '[redacted]' },
      password: { inlineBytes: Buffer.from('[redacted]').toString('base64') },
    },
  })
})

it('shows no ticket keys, no generic secrets, and nothing of bytes that are no secret', () => {
  const bytes = Buffer.from('do not show')
  for (const shown of [
    secretJson({ sessionTicketKeys: { keys: [{ inlineBytes: bytes }] } }),
    secretJson({ genericSecret: { secret: { inlineBytes: bytes } } }),
    JSON.stringify(readableJson(typeUrl, Buffer.from([0xff, ...bytes]))),
  ]) {
    expect(shown).not.toContain(bytes.toString('base64'))
    expect(shown).not.toContain('do not show')
  }
})

it('keeps what it does not know as bytes, on its own and inside another message', () => {
  const unknown = { typeUrl: 'type.googleapis.com/no.such.Type', value: Buffer.from('any') }
  const opaque = { '@type': unknown.typeUrl, value: 'YW55' }
  expect(readableJson(unknown.typeUrl, unknown.value)).toEqual(opaque)
  const cluster = Cluster.encode(
    Cluster.fromPartial({ name: 'payments', typedExtensionProtocolOptions: { one: unknown } }),
  ).finish()
  expect(readableJson('type.googleapis.com/envoy.config.cluster.v3.Cluster', cluster)).toMatchObject({
    name: 'payments',
    typedExtensionProtocolOptions: { one: opaque },
  })
})
