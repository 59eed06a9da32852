import { Secret } from '@envoyproxy/protos/envoy/extensions/transport_sockets/tls/v3/secret.ts'
import { unpacked, type Unpack } from './to-json.ts'

type Fields = Readonly<Record<string, unknown>>

const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const opaque: Unpack = (typeUrl, body) => ({
  '@type': typeUrl,
  value: Buffer.from(body).toString('base64'),
})

const shown: Unpack = (typeUrl, body) => {
  try {
    return unpacked(typeUrl, body, shown) ?? opaque(typeUrl, body)
  } catch {
    return opaque(typeUrl, body)
  }
}

/** Unlike other types, bytes that cannot be read are not shown. */
const shownSecret = (typeUrl: string, body: Uint8Array): Record<string, unknown> => {
  try {
    return { '@type': typeUrl, ...(Secret.toJSON(Secret.decode(body)) as object) }
  } catch {
    return { '@type': typeUrl }
  }
}

/** Fields of TLS messages whose content nobody may read (`udpa.annotations.sensitive` in `tls/v3/*.proto`). */
const secretFields: ReadonlySet<string> = new Set([
  'privateKey',
  'privateKeyProvider',
  'password',
  'pkcs12',
  'sessionTicketKeys',
  'genericSecret',
])
const redactedText = '[redacted]'
const redactedBytes = Buffer.from(redactedText).toString('base64')

const redacted = (json: unknown, secret: boolean): unknown => {
  if (Array.isArray(json)) return json.map((item: unknown) => redacted(item, secret))
  if (!isFields(json)) return json
  // Of an unknown message nobody knows what it holds.
  if (secret && '@type' in json) return { '@type': json['@type'] }
  return Object.fromEntries(
    Object.entries(json).map(([name, value]) => {
      if (secret && name === 'inlineString') return [name, redactedText]
      if (secret && name === 'inlineBytes') return [name, redactedBytes]
      return [name, redacted(value, secret || secretFields.has(name))]
    }),
  )
}

const secretType = 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret'

/**
 * An encoded message as `messageJson` has it, for people: what is of an unknown type stays as `{"@type", "value"}` with its bytes in base64, and private
 * keys, passwords and tickets read `[redacted]`, as in Envoy's own `/config_dump`. Never throws.
 */
export const readableJson = (typeUrl: string, body: Uint8Array): Record<string, unknown> => {
  const json = typeUrl === secretType ? shownSecret(typeUrl, body) : shown(typeUrl, body)
  return redacted(json, false) as Record<string, unknown>
}
