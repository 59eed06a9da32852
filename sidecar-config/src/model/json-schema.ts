/** Schemas that JSON Schema has and typebox has no builder for. */
import { Type, type Static, type TSchema } from 'typebox'

/** The same, or null: as one schema, so that a wrong field inside is reported and not "fits no alternative". */
export const nullable = <T extends TSchema & { readonly type: string }>(schema: T) =>
  Type.Unsafe<Static<T> | null>({ ...schema, type: [schema.type, 'null'] })

/** An object of texts whose keys the sender chooses. */
export const textRecord = (options: {
  readonly key: string
  readonly value: TSchema
  readonly maxProperties: number
  readonly description: string
}) => {
  const { key, value, maxProperties, description } = options
  return Type.Unsafe<Record<string, string>>({
    type: 'object',
    propertyNames: { type: 'string', pattern: key, description },
    additionalProperties: value,
    maxProperties,
    description,
  })
}
