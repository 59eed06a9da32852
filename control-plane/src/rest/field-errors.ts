import type { ErrorObject } from 'ajv'
import type { FieldError } from '../domain/errors.ts'

/** More than these are not told: whoever sends a thousand wrong fields does not read them. */
const maxFieldErrors = 20

export type RequestPart = 'body' | 'querystring' | 'params' | 'headers'

type Schema = Readonly<Record<string, unknown>>

const isSchema = (value: unknown): value is Schema => typeof value === 'object' && value !== null

const propertiesOf = (schema: unknown): Schema =>
  isSchema(schema) && isSchema(schema.properties) ? schema.properties : {}

/** In words; schemas describe what they accept (schemas/common.ts). */
const acceptedBy = (schema: unknown): string => {
  if (!isSchema(schema)) return 'nothing'
  if (typeof schema.description === 'string') return schema.description
  if (schema.const !== undefined) return JSON.stringify(schema.const)
  if (Array.isArray(schema.enum)) return schema.enum.map(value => JSON.stringify(value)).join(', ')
  const fields = Object.keys(propertiesOf(schema))
  if (fields.length > 0) return `an object with the fields ${fields.join(', ')}`
  return typeof schema.type === 'string' ? `a value of type ${schema.type}` : 'another value'
}

const kinds: Readonly<Record<string, string>> = { array: 'a list', object: 'an object', null: 'null' }

const shown = (value: unknown): string => {
  if (value === undefined) return 'nothing'
  if (typeof value === 'object')
    return kinds[value === null ? 'null' : Array.isArray(value) ? 'array' : 'object'] ?? ''
  const text = JSON.stringify(value)
  return text.length > 80 ? `${text.slice(0, 77)}...` : text
}

const escapeToken = (token: string): string => token.replaceAll('~', '~0').replaceAll('/', '~1')

const pointerOf = (part: RequestPart, path: string): string => {
  const name = path.slice(1)
  if (part === 'body') return path
  if (part === 'querystring') return `?${name}`
  return part === 'params' ? `{${name}}` : `header ${name}`
}

/** Only sum up what other errors of the same place say. */
const summaries = new Set(['oneOf', 'anyOf', 'if', 'not', 'propertyNames'])

const fieldError = (error: ErrorObject, part: RequestPart): FieldError | undefined => {
  const { keyword, instancePath, params, parentSchema, data } = error as ErrorObject & {
    params: Record<string, unknown>
  }
  if (error.propertyName !== undefined && !summaries.has(keyword)) {
    return {
      pointer: pointerOf(part, `${instancePath}/${escapeToken(error.propertyName)}`),
      detail: 'is not accepted as a key',
      accepted: acceptedBy(parentSchema),
    }
  }
  const child = (name: unknown) => pointerOf(part, `${instancePath}/${escapeToken(String(name))}`)
  switch (keyword) {
    case 'required':
      return {
        pointer: child(params.missingProperty),
        detail: 'is missing',
        accepted: acceptedBy(propertiesOf(parentSchema)[String(params.missingProperty)] ?? parentSchema),
      }
    case 'additionalProperties': {
      const byPattern = isSchema(parentSchema) && isSchema(parentSchema.patternProperties)
      const fields = Object.keys(propertiesOf(parentSchema))
      return {
        pointer: child(params.additionalProperty),
        detail: 'there is no such field',
        accepted: byPattern ? acceptedBy(parentSchema) : `the fields ${fields.join(', ')}`,
      }
    }
    case 'discriminator':
      return {
        pointer: child(params.tag),
        detail: `${shown(params.tagValue)} is not accepted`,
        accepted: acceptedBy(parentSchema),
      }
    case 'maxItems':
    case 'minItems':
    case 'maxProperties':
      return {
        pointer: pointerOf(part, instancePath),
        detail: `has ${keyword === 'minItems' ? 'fewer' : 'more'} than ${String(params.limit)} entries`,
        accepted: acceptedBy(parentSchema),
      }
    default:
      return summaries.has(keyword)
        ? undefined
        : {
            pointer: pointerOf(part, instancePath),
            detail: `${shown(data)} is not accepted`,
            accepted: acceptedBy(parentSchema),
          }
  }
}

/** What ajv (with `verbose`) found, one entry for each wrong place; at most 20. */
export const fieldErrors = (errors: readonly ErrorObject[], part: RequestPart): FieldError[] => {
  const found = new Map<string, FieldError>()
  for (const error of errors) {
    const field = fieldError(error, part)
    if (field !== undefined && !found.has(field.pointer)) found.set(field.pointer, field)
    if (found.size >= maxFieldErrors) break
  }
  return [...found.values()]
}
