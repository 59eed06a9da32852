import { formatDuration, parseDuration } from '@waymark/sidecar-config/model/duration.ts'
import { WaymarkError } from '../domain/errors.ts'
import { hasFourDigitYear } from './four-digit-year.ts'

const second = 1_000
const year = 365 * 24 * 3_600 * second

const refused = (pointer: string, detail: string, accepted: string): WaymarkError =>
  new WaymarkError('invalid_request', 'the end of the override is not accepted', {
    fields: [{ pointer, detail, accepted }],
  })

/**
 * When an override ends, of a body that fits its schema: after a while, at a time, or null: when it is taken back.
 * Throws WaymarkError `invalid_request`. Whether the time is still to come is for Postgres's clock to say.
 */
export const overrideEnd = ({
  ttl,
  expiresAt,
}: {
  readonly ttl?: string
  readonly expiresAt?: string
}): { readonly afterMs: number } | { readonly at: string } | null => {
  if (ttl !== undefined && expiresAt !== undefined) {
    throw refused('/expiresAt', 'there is a ttl already', 'either ttl or expiresAt')
  }
  if (ttl !== undefined) {
    const afterMs = parseDuration(ttl)
    if (afterMs !== undefined && afterMs >= second && afterMs <= year) return { afterMs }
    const accepted = `a duration from ${formatDuration(second)} to ${formatDuration(year)}`
    throw refused('/ttl', `"${ttl}" is out of range`, accepted)
  }
  if (expiresAt === undefined) return null
  const at = new Date(expiresAt)
  // date-time also allows leap seconds, which Date does not know; an offset may lead beyond the years of four digits.
  if (!hasFourDigitYear(at)) throw refused('/expiresAt', 'is no time', 'a time such as 2030-01-31T18:00:00Z')
  return { at: at.toISOString() }
}
