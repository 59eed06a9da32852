import type { TSchema } from 'typebox'
import { Value } from 'typebox/value'

/** One wrong field of a spec. */
export interface FieldError {
  /** JSON pointer into the spec: `/timeouts/connect`. */
  readonly pointer: string
  readonly detail: string
  /** What would be accepted, in words. */
  readonly accepted: string
}

type Node = Readonly<Record<string, unknown>>

const isNode = (value: unknown): value is Node => typeof value === 'object' && value !== null

const unescape = (token: string) => token.replaceAll('~1', '/').replaceAll('~0', '~')
const escape = (token: string) => token.replaceAll('~', '~0').replaceAll('/', '~1')

const at = (schema: unknown, path: string): unknown => {
  let node: unknown = schema
  for (const token of path.split('/').slice(1)) node = isNode(node) ? node[unescape(token)] : undefined
  return node
}

const fieldsOf = (node: unknown) =>
  isNode(node) && isNode(node.properties) ? Object.keys(node.properties) : []

const acceptedBy = (node: unknown): string => {
  if (isNode(node) && typeof node['x-accepted'] === 'string') return node['x-accepted']
  const fields = fieldsOf(node)
  return fields.length > 0 ? `an object with the fields ${fields.join(', ')}` : 'nothing here'
}

const problemOf = (value: unknown): string => {
  const text = JSON.stringify(value)
  const shown = text.length > 60 ? `${text.slice(0, 57)}...` : text
  return `${shown} is not accepted`
}

/** What does not fit `schema`, each with what would; typebox stops after eight. */
export const schemaErrors = (schema: TSchema, value: unknown): FieldError[] => {
  const errors: FieldError[] = []
  for (const error of Value.Errors(schema, value)) {
    const path = error.schemaPath.slice(1)
    const node = at(schema, path)
    if (error.keyword === 'additionalProperties') continue
    if (error.keyword === 'required') {
      for (const name of error.params.requiredProperties)
        errors.push({
          pointer: `${error.instancePath}/${escape(name)}`,
          detail: 'is missing',
          accepted: acceptedBy(at(node, `/properties/${escape(name)}`)),
        })
    } else if (path.endsWith('/additionalProperties')) {
      const fields = fieldsOf(at(schema, path.slice(0, -'/additionalProperties'.length)))
      errors.push({
        pointer: error.instancePath,
        detail: 'there is no such field',
        accepted: `the fields ${fields.join(', ')}`,
      })
    } else if (!errors.some(({ pointer }) => pointer === error.instancePath)) {
      errors.push({
        pointer: error.instancePath,
        detail: problemOf(at(value, error.instancePath)),
        accepted: acceptedBy(node),
      })
    }
  }
  return errors
}
