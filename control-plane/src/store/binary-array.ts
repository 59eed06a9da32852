/**
 * Arrays as parameters in Postgres's binary format (array_recv): nothing of their elements is escaped here or unescaped
 * there. pg sends a Buffer as it is.
 */

type Nullable<T> = readonly (T | null)[]

/** Of pg_type: they never change. */
const oid = { boolean: 16, bigint: 20, integer: 23, text: 25, timestamptz: 1184, jsonb: 3802 } as const

/** Number of dimensions, whether there are nulls, type of the elements, their number, index of the first. */
const headerBytes = 20
const lengthBytes = 4
/** What Postgres counts times from, milliseconds since the epoch. */
const postgresEpochMs = Date.UTC(2000, 0, 1)
const twoTo32 = 2 ** 32
const jsonbVersion = 1

const start = (bytes: number, type: number, count: number): Buffer => {
  const array = Buffer.allocUnsafe(headerBytes + bytes)
  array.writeInt32BE(1, 0)
  array.writeInt32BE(1, 4)
  array.writeInt32BE(type, 8)
  array.writeInt32BE(count, 12)
  array.writeInt32BE(1, 16)
  return array
}

/** Elements of one size. */
const fixed = <T>(
  values: Nullable<T>,
  { type, size }: { readonly type: number; readonly size: number },
  write: (array: Buffer, value: T, at: number) => void,
): Buffer => {
  const array = start(values.length * (lengthBytes + size), type, values.length)
  let at = headerBytes
  for (const value of values) {
    at = array.writeInt32BE(value === null ? -1 : size, at)
    if (value === null) continue
    write(array, value, at)
    at += size
  }
  return array.subarray(0, at)
}

/** Strings, each behind a prefix of at most one byte. */
const strings = (values: Nullable<string>, type: number, prefix: number | null): Buffer => {
  const extra = lengthBytes + (prefix === null ? 0 : 1)
  // A UTF-16 unit takes three bytes at most.
  const room = values.reduce((sum, value) => sum + extra + (value === null ? 0 : 3 * value.length), 0)
  const array = start(room, type, values.length)
  let at = headerBytes
  for (const value of values) {
    const lengthAt = at
    at += lengthBytes
    if (value === null) {
      array.writeInt32BE(-1, lengthAt)
      continue
    }
    if (prefix !== null) at = array.writeUInt8(prefix, at)
    at += array.write(value, at)
    array.writeInt32BE(at - lengthAt - lengthBytes, lengthAt)
  }
  return array.subarray(0, at)
}

const writeBigint = (array: Buffer, value: number, at: number): void => {
  array.writeInt32BE(Math.floor(value / twoTo32), at)
  array.writeUInt32BE(value - Math.floor(value / twoTo32) * twoTo32, at + 4)
}

export const textArray = (values: Nullable<string>): Buffer => strings(values, oid.text, null)

/** `values`: texts of JSON. */
export const jsonbArray = (values: Nullable<string>): Buffer => strings(values, oid.jsonb, jsonbVersion)

/** Safe integers. */
export const bigintArray = (values: Nullable<number>): Buffer =>
  fixed(values, { type: oid.bigint, size: 8 }, writeBigint)

export const integerArray = (values: Nullable<number>): Buffer =>
  fixed(values, { type: oid.integer, size: 4 }, (array, value, at) => {
    array.writeInt32BE(value, at)
  })

export const booleanArray = (values: Nullable<boolean>): Buffer =>
  fixed(values, { type: oid.boolean, size: 1 }, (array, value, at) => {
    array.writeUInt8(value ? 1 : 0, at)
  })

/** Times as ISO 8601, to the millisecond. */
export const timestampArray = (values: Nullable<string>): Buffer =>
  fixed(values, { type: oid.timestamptz, size: 8 }, (array, value, at) => {
    writeBigint(array, (Date.parse(value) - postgresEpochMs) * 1_000, at)
  })
