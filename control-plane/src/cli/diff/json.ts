/** JSON as it comes from outside. */
export type Json = null | boolean | number | string | readonly Json[] | JsonObject
export interface JsonObject {
  readonly [name: string]: Json | undefined
}

export const isObject = (value: Json | undefined): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

export const isList = (value: Json | undefined): value is readonly Json[] => Array.isArray(value)

/** A field that is an object; else an empty one. */
export const objectIn = (value: Json | undefined, name: string): JsonObject => {
  const field = isObject(value) ? value[name] : undefined
  return isObject(field) ? field : {}
}

/** The objects of a field that is a list; else none. */
export const objectsIn = (value: Json | undefined, name: string): JsonObject[] => {
  const field = isObject(value) ? value[name] : undefined
  return isList(field) ? field.filter(isObject) : []
}

export const textIn = (value: Json | undefined, name: string): string => {
  const field = isObject(value) ? value[name] : undefined
  return typeof field === 'string' ? field : ''
}

/** Keys of maps that have dots, slashes or hyphens are names of their own, not fields. */
const isField = (key: string): boolean => /^[a-z][a-zA-Z0-9_]*$/.test(key)

const camelCase = (key: string): string =>
  isField(key) ? key.replace(/_+([a-z0-9])/g, (_, next: string) => next.toUpperCase()) : key

/** `0.250s` and `0.25s` are one duration. */
const duration = (text: string): string => {
  const [, whole, fraction = ''] = /^(-?\d+)(?:\.(\d+))?s$/.exec(text) ?? []
  if (whole === undefined) return text
  const digits = fraction.replace(/0+$/, '')
  return `${whole}${digits === '' ? '' : `.${digits}`}s`
}

/**
 * The same for both forms that protobuf allows and programs write: fields in lowerCamelCase (Envoy's admin writes
 * snake_case), durations without trailing zeros.
 */
export const canonical = (value: Json): Json => {
  if (typeof value === 'string') return duration(value)
  if (isList(value)) return value.map(canonical)
  if (!isObject(value)) return value
  const fields: Record<string, Json> = {}
  for (const [key, field] of Object.entries(value)) {
    if (field !== undefined) fields[camelCase(key)] = canonical(field)
  }
  return fields
}
