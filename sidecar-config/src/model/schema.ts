/** The building blocks of document schemas. Every leaf says in words what it accepts (`x-accepted`). */
import { Type } from 'typebox'
import { durationAccepted, durationMs, durationPattern, formatDuration, parseDuration } from './duration.ts'
import { serviceNameAccepted, serviceNameMaxLength, serviceNamePattern } from './service-name.ts'

interface DurationBounds {
  /** Durations, inclusive. */
  readonly min: string
  readonly max: string
  readonly description: string
}

export const durationField = ({ min, max, description }: DurationBounds) => {
  const minMs = durationMs(min)
  const maxMs = durationMs(max)
  const accepted = `${durationAccepted}, from ${formatDuration(minMs)} to ${formatDuration(maxMs)}`
  return Type.Refine(
    Type.String({ pattern: durationPattern, description, 'x-accepted': accepted }),
    text => {
      const ms = parseDuration(text)
      return ms !== undefined && ms >= minMs && ms <= maxMs
    },
    () => 'is out of range',
  )
}

interface IntegerBounds {
  readonly minimum: number
  readonly maximum: number
  readonly description: string
}

export const integerField = ({ minimum, maximum, description }: IntegerBounds) =>
  Type.Integer({
    minimum,
    maximum,
    description,
    'x-accepted': `a whole number from ${minimum} to ${maximum}`,
  })

export const booleanField = (description: string) =>
  Type.Boolean({ description, 'x-accepted': 'true or false' })

interface ChoiceOptions<Values extends string[]> {
  readonly values: readonly [...Values]
  readonly description: string
}

export const choiceField = <const Values extends string[]>({ values, description }: ChoiceOptions<Values>) =>
  Type.Enum([...values], { description, 'x-accepted': `one of: ${values.join(', ')}` })

export const serviceField = (description: string) =>
  Type.String({
    pattern: serviceNamePattern,
    maxLength: serviceNameMaxLength,
    description,
    'x-accepted': serviceNameAccepted,
  })

export const closed = { additionalProperties: false } as const
