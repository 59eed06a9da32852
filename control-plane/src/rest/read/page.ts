import { createHash } from 'node:crypto'
import { WaymarkError } from '../../domain/errors.ts'
import type { Revision } from '../../domain/revision.ts'

/** Where a list goes on. */
interface Place {
  /** All pages are of this revision. */
  readonly revision: Revision
  /** The name of the last item of the page before. */
  readonly after: string
}

interface Token extends Place {
  readonly question: string
}

const digest = (question: string): string =>
  createHash('sha256').update(question).digest('base64url').slice(0, 12)

/** What a client gives back for the next page of the answer to a question. Opaque to it, and no secret. */
export const continueToken = ({ revision, after }: Place, question: string): string =>
  Buffer.from(JSON.stringify([revision, after, digest(question)])).toString('base64url')

const refused = (detail: string): WaymarkError =>
  new WaymarkError('invalid_request', `?continue ${detail}`, {
    fields: [
      {
        pointer: '?continue',
        detail,
        accepted: 'continue of the page before, with the same path and filters',
      },
    ],
  })

const decode = (text: string): Token | undefined => {
  try {
    const token: unknown = JSON.parse(Buffer.from(text, 'base64url').toString())
    if (!Array.isArray(token)) return undefined
    const [revision, after, question] = token as unknown[]
    if (typeof revision !== 'number' || !Number.isSafeInteger(revision) || revision < 0) return undefined
    if (typeof after !== 'string' || typeof question !== 'string') return undefined
    return { revision, after, question }
  } catch {
    return undefined
  }
}

/** Throws WaymarkError `invalid_request` for what was not given out for this question. */
export const placeOf = (text: string, question: string): Place => {
  const token = decode(text)
  if (token === undefined) throw refused('is not what a page gave')
  if (token.question !== digest(question)) throw refused('belongs to another question')
  return token
}

export interface PageQuery {
  readonly limit?: number
  readonly fields?: string
}

/** The items after a name, at most `limit`; `next`: the name of the last one, null when there are no more. */
export const pageOf = <T>(
  sorted: readonly T[],
  nameOf: (item: T) => string,
  { limit, after }: { readonly limit: number | undefined; readonly after: string | null },
): { readonly items: readonly T[]; readonly next: string | null } => {
  const rest = after === null ? sorted : sorted.filter(item => nameOf(item) > after)
  if (limit === undefined || rest.length <= limit) return { items: rest, next: null }
  const items = rest.slice(0, limit)
  const last = items.at(-1)
  return { items, next: last === undefined ? null : nameOf(last) }
}

/**
 * Picks fields of each item: `?fields=id,address`. Undefined: all of them. Throws WaymarkError `invalid_request` for a
 * field that the items never have.
 */
export const fieldPicker = (
  fields: string | undefined,
  known: readonly string[],
): ((item: object) => object) | undefined => {
  if (fields === undefined) return undefined
  const names = fields.split(',')
  const wrong = names.find(name => !known.includes(name))
  if (wrong !== undefined) {
    const detail = `"${wrong}" is no field`
    throw new WaymarkError('invalid_request', `?fields: ${detail}`, {
      fields: [{ pointer: '?fields', detail, accepted: `some of ${known.join(', ')}, joined by commas` }],
    })
  }
  const wanted = new Set(names)
  return item => Object.fromEntries(Object.entries(item).filter(([name]) => wanted.has(name)))
}
