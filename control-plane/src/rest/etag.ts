import { WaymarkError } from '../domain/errors.ts'
import type { Revision } from '../domain/revision.ts'
import type { Precondition } from '../registry/registry.ts'

const syntax = /^"([0-9]{1,15})"$/
const weakSyntax = /^W\/"([0-9]{1,15})"$/

/** A document's ETag is the revision that last changed it: strong, and the same on every replica. */
export const etagOf = (revision: Revision): string => `"${revision}"`

const refused = (header: string, value: string, accepted: string): WaymarkError =>
  new WaymarkError('invalid_request', `header ${header} is not understood`, {
    fields: [{ pointer: `header ${header}`, detail: `${JSON.stringify(value)} is not accepted`, accepted }],
  })

interface PreconditionHeaders {
  readonly 'if-match'?: string
  readonly 'if-none-match'?: string
}

/**
 * What the headers of a write ask for: `If-Match: "17"` or `If-None-Match: *` (RFC 9110, section 13.1). Lists,
 * weak tags and both headers at once are refused: no one document has two versions.
 */
export const preconditionOf = (headers: PreconditionHeaders): Precondition => {
  const match = headers['if-match']
  const noneMatch = headers['if-none-match']
  if (match !== undefined && noneMatch !== undefined) {
    throw refused('if-none-match', noneMatch, 'If-Match or If-None-Match, not both')
  }
  if (noneMatch !== undefined) {
    if (noneMatch.trim() === '*') return 'absent'
    throw refused('if-none-match', noneMatch, '*')
  }
  if (match === undefined) return null
  const [, revision] = syntax.exec(match.trim()) ?? []
  if (revision === undefined) throw refused('if-match', match, 'one ETag as a read gave it, such as "17"')
  return Number(revision)
}

/** Whether `If-None-Match` of a read names this version: compared weakly, lists allowed. */
export const isCurrent = (noneMatch: string | undefined, revision: Revision): boolean =>
  noneMatch !== undefined &&
  noneMatch
    .split(',')
    .map(tag => tag.trim().replace(/^W\//, ''))
    .some(tag => tag === '*' || tag === etagOf(revision))

/** The tag of an answer that has not changed since this revision: weak, for its bytes may tell a later one. */
export const weakTag = (since: Revision): string => `W/"${since}"`

/**
 * Whether `If-None-Match` names an answer that still holds. An answer of revision R is the present one if nothing has
 * changed it from R on, whichever replica gave it.
 */
export const heldSince = (
  noneMatch: string | undefined,
  { since, revision }: { readonly since: Revision; readonly revision: Revision },
): boolean => {
  if (noneMatch === undefined) return false
  return noneMatch.split(',').some(tag => {
    const [, seen] = weakSyntax.exec(tag.trim()) ?? []
    return tag.trim() === '*' || (seen !== undefined && Number(seen) >= since && Number(seen) <= revision)
  })
}
