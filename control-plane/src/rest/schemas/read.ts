import { Type, type TSchema } from 'typebox'
import { momentAccepted, momentPattern } from '../read/moment.ts'
import { closed, define, nullable, readQuery, RevisionNumber } from './common.ts'

/** Items of one page. */
const maxPageItems = 10_000

/** What every read of the state takes: of the present, or of a moment. */
export const stateQuery = {
  ...readQuery,
  at: Type.Optional(
    Type.String({
      pattern: momentPattern,
      description: `the state as it was at ${momentAccepted}`,
    }),
  ),
}

/** What every list takes. */
export const listQuery = {
  ...stateQuery,
  limit: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: maxPageItems,
      description: `items of a page: an integer from 1 to ${maxPageItems}; absent: all`,
    }),
  ),
  continue: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 1_024,
      pattern: '^[A-Za-z0-9_-]+$',
      description: 'continue of the page before: the next page of the list as it was then',
    }),
  ),
  fields: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 512,
      pattern: '^[A-Za-z]+(?:,[A-Za-z]+)*$',
      description: 'fields of an item, joined by commas: only these are given',
    }),
  ),
}

/** The members of every list besides its items. */
export const listHead = {
  revision: RevisionNumber,
  continue: nullable({
    ...Type.String(),
    description: 'what to give as continue for the next page; null: this is the last',
  }),
}

/** A list of items of which only some fields were asked for. */
export const partialList = (
  name: string,
  items: { readonly [plural: string]: TSchema },
  more: { readonly [field: string]: TSchema } = {},
) =>
  define(
    name,
    Type.Unsafe<object>(
      Type.Object(
        {
          ...listHead,
          ...more,
          fields: Type.Array(Type.String(), { description: 'the fields that were asked for' }),
          ...Object.fromEntries(
            Object.entries(items).map(([plural, item]) => [plural, Type.Array(Type.Partial(item, somePart))]),
          ),
        },
        closed,
      ),
    ),
  )

const somePart = { ...closed, minProperties: 1 }
