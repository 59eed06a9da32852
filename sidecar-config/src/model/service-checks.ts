/** The checks of a service's document: all its instances are checked so, besides what they ask for themselves. */
import { Type, type Static, type TSchema } from 'typebox'
import { Value } from 'typebox/value'
import { checkBody, completeCheck, type CheckSpec } from './check.ts'
import { checkSchemas, maxChecks, type CheckBody } from './check-schema.ts'
import { schemaErrors, type FieldError } from './field-errors.ts'

type Kind = keyof typeof checkSchemas
const kinds = Object.keys(checkSchemas) as readonly Kind[]
const kindAccepted = `a check whose kind is one of: ${kinds.join(', ')}`

/** Only that they are checks of some kind; each kind has a schema of its own, see serviceCheckErrors. */
export const serviceChecksSchema = Type.Array(
  Type.Unsafe<CheckBody>(
    Type.Object(
      { kind: Type.Enum([...kinds], { 'x-accepted': `one of: ${kinds.join(', ')}` }) },
      { 'x-accepted': kindAccepted },
    ),
  ),
  {
    maxItems: maxChecks,
    description: 'How every instance is checked, besides the checks of its own registration.',
    'x-accepted': `up to ${maxChecks} checks`,
  },
)

type ServiceChecks = Static<typeof serviceChecksSchema>

/** The schema with its descriptions as what documents' errors show. */
const accepting = (schema: object): TSchema =>
  JSON.parse(JSON.stringify(schema), (_key, value: unknown) =>
    typeof value === 'object' && value !== null && 'description' in value
      ? { ...value, 'x-accepted': value.description }
      : value,
  ) as TSchema

/** What is wrong with checks that fit serviceChecksSchema. */
export const serviceCheckErrors = (checks: ServiceChecks): FieldError[] =>
  checks.flatMap((check, index) => {
    const pointer = `/checks/${index}`
    const schema = checkSchemas[check.kind]
    if (!Value.Check(schema, check)) {
      const errors = schemaErrors(accepting(schema), check)
      return errors.map(error => ({ ...error, pointer: `${pointer}${error.pointer}` }))
    }
    const errors: FieldError[] = []
    completeCheck(check, pointer, error => errors.push(error))
    return errors
  })

/** Checks that were accepted already. */
const specsOf = (checks: ServiceChecks): CheckSpec[] =>
  checks.map((check, index) => completeCheck(check, `/checks/${index}`, () => undefined))

/** The same checks with every default filled in. */
export const completeChecks = (checks: ServiceChecks): CheckBody[] => specsOf(checks).map(checkBody)

/** The checks of a document's spec as it is stored. */
export const serviceChecksOf = (spec: unknown): readonly CheckSpec[] =>
  specsOf((spec as { readonly checks?: ServiceChecks }).checks ?? [])
