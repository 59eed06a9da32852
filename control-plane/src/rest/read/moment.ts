import { WaymarkError } from '../../domain/errors.ts'
import type { Revision } from '../../domain/revision.ts'
import { hasFourDigitYear } from '../four-digit-year.ts'

/** What `?at=` takes: a revision, or a time as RFC 3339 has it. */
export const momentPattern =
  '^(?:[0-9]{1,15}|[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\\.[0-9]{1,9})?(?:[Zz]|[+-][0-9]{2}:[0-9]{2}))$'

export const momentAccepted =
  'a revision, or a time such as 2026-11-21T14:03:00Z (an offset with its plus sign as %2B)'

export type Moment = { readonly revision: Revision } | { readonly time: string }

/** Times become ISO 8601 in UTC with milliseconds. Throws WaymarkError `invalid_request`. */
export const parseMoment = (text: string): Moment => {
  if (/^[0-9]+$/.test(text)) return { revision: Number(text) }
  const time = new Date(text.toUpperCase())
  if (hasFourDigitYear(time)) return { time: time.toISOString() }
  throw new WaymarkError('invalid_request', '?at is no moment', {
    fields: [{ pointer: '?at', detail: `"${text}" does not exist`, accepted: momentAccepted }],
  })
}

/** For a revision that no write has got yet. */
export const notYet = (revision: Revision, head: Revision): WaymarkError =>
  new WaymarkError('invalid_request', `revision ${revision} has not come yet`, {
    fields: [
      { pointer: '?at', detail: `the log is at revision ${head}`, accepted: `a revision up to ${head}` },
    ],
  })
