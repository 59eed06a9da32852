import { messageTypeOf } from './any.ts'

type Fields = Readonly<Record<string, unknown>>

const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** ts-proto gives every message all its fields, so that these two can be known by them. */
const isDuration = (value: Fields): value is { seconds: number; nanos: number } =>
  Object.keys(value).join() === 'seconds,nanos'
const isAny = (value: Fields): value is { typeUrl: string; value: Uint8Array } =>
  Object.keys(value).join() === 'typeUrl,value' && value.value instanceof Uint8Array

const durationJson = ({ seconds, nanos }: { seconds: number; nanos: number }): string => {
  const fraction = String(nanos).padStart(9, '0').replace(/0+$/, '')
  return `${seconds}${fraction === '' ? '' : `.${fraction}`}s`
}

export type Unpack = (typeUrl: string, body: Uint8Array) => Record<string, unknown>

/** Walks a message and what ts-proto's toJSON made of it together: the first knows types, the second names. */
const readable = (message: unknown, json: unknown, unpack: Unpack): unknown => {
  if (Array.isArray(message) && Array.isArray(json)) {
    const items: readonly unknown[] = message
    return json.map((item, index) => readable(items[index], item, unpack))
  }
  if (!isFields(message) || !isFields(json)) return json
  if (isDuration(message)) return durationJson(message)
  if (isAny(message)) return unpack(message.typeUrl, message.value)
  return Object.fromEntries(
    Object.entries(json).map(([name, value]) => [name, readable(message[name], value, unpack)]),
  )
}

/**
 * One message as JSON, what is packed in it as `unpack` says; undefined for a type that Waymark does not build.
 * Throws on bad bytes.
 */
export const unpacked = (
  typeUrl: string,
  body: Uint8Array,
  unpack: Unpack,
): Record<string, unknown> | undefined => {
  const type = messageTypeOf(typeUrl)
  if (type === undefined) return undefined
  const message = type.codec.decode(body)
  const json = readable(message, type.codec.toJSON(message), unpack)
  return { '@type': typeUrl, ...(isFields(json) ? json : {}) }
}

/**
 * An encoded message in protobuf's JSON form (lowerCamelCase, durations as `1.5s`), with what is packed in it
 * unpacked and named by `@type`. Throws TypeError for a type that Waymark does not build.
 */
export const messageJson = (typeUrl: string, body: Uint8Array): Record<string, unknown> => {
  const json = unpacked(typeUrl, body, messageJson)
  if (json === undefined) throw new TypeError(`There is no message type ${typeUrl}`)
  return json
}
