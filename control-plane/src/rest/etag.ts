import { createHash } from 'node:crypto'
import { WaymarkError } from '../domain/errors.ts'
import type { Revision } from '../domain/revision.ts'
import type { Precondition } from '../registry/registry.ts'

const syntax = /^"([0-9]{1,15})"$/

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

/**
 * The tag of an answer with this content: weak, for its bytes also tell the revision. Not made of a revision: a log that
 * has lost its end gives the same one to another content.
 */
export const weakTag = (...content: readonly (Buffer | string)[]): string => {
  const hash = createHash('sha256')
  for (const part of content) hash.update(part)
  return `W/"${hash.digest('base64url').slice(0, 22)}"`
}

/** Whether `If-None-Match` of a read names this tag: compared weakly, lists allowed. */
export const namesTag = (noneMatch: string | undefined, tag: string): boolean =>
  noneMatch?.split(',').some(each => each.trim() === '*' || each.trim() === tag) ?? false
