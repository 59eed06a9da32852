import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv'
import addFormats from 'ajv-formats'
import type { FastifySchemaCompiler } from 'fastify'
import { WaymarkError, type FieldError } from '../domain/errors.ts'
import { fieldErrors, type RequestPart } from './field-errors.ts'

const parts: readonly RequestPart[] = ['body', 'querystring', 'params', 'headers']
const isPart = (part: string | undefined): part is RequestPart => parts.some(known => known === part)

const refusal = (fields: readonly FieldError[]): WaymarkError => {
  const first = fields[0]
  const detail =
    first === undefined
      ? 'the request does not fit its schema'
      : `${first.pointer || 'the body'}: ${first.detail}`
  return new WaymarkError('invalid_request', fields.length > 1 ? `${detail}, and more` : detail, { fields })
}

/**
 * Compiles the schemas of requests. Bodies are taken as they are: no coercion, no defaults, no removal. What
 * comes as text (query, path, headers) is coerced to the schema's types. Each is compiled when it is first used: all of
 * them together would take a tenth of the time in which a replica starts, and a replica never needs all.
 */
export const createValidatorCompiler = (): FastifySchemaCompiler<object> => {
  const options = { allErrors: true, verbose: true, discriminator: true, allowUnionTypes: true } as const
  const strict = addFormats.default(new Ajv(options))
  const coercing = addFormats.default(new Ajv({ ...options, coerceTypes: true, useDefaults: true }))
  return ({ schema, httpPart }) => {
    const part: RequestPart = isPart(httpPart) ? httpPart : 'body'
    let validate: ValidateFunction | undefined
    return (value: unknown) => {
      validate ??= (part === 'body' ? strict : coercing).compile(schema)
      if (validate(value)) return { value }
      const errors: readonly ErrorObject[] = validate.errors ?? []
      return { error: refusal(fieldErrors(errors, part)) }
    }
  }
}

const isStorable = (value: unknown, depth: number): boolean => {
  if (typeof value === 'string') return value.isWellFormed() && !value.includes('\u0000')
  if (typeof value !== 'object' || value === null) return true
  if (depth === 0) return false
  for (const key of Object.keys(value)) {
    const child = (value as Readonly<Record<string, unknown>>)[key]
    if (!isStorable(key, 1) || !isStorable(child, depth - 1)) return false
  }
  return true
}

/**
 * The pointer of the first text in a JSON value that Postgres's jsonb cannot hold (NUL, half a surrogate pair),
 * or of what is nested deeper than `depth`; undefined when there is none.
 */
export const findUnstorable = (value: unknown, depth = 32, pointer = ''): string | undefined => {
  // Nearly everything is: its pointers need not be made.
  if (isStorable(value, depth)) return undefined
  if (typeof value !== 'object' || value === null || depth === 0) return pointer
  for (const [key, child] of Object.entries(value)) {
    const at = `${pointer}/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`
    const found = findUnstorable(key, 1, at) ?? findUnstorable(child, depth - 1, at)
    if (found !== undefined) return found
  }
  return pointer
}
