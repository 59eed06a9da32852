import fc from 'fast-check'
import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  bigintArray,
  booleanArray,
  integerArray,
  jsonbArray,
  textArray,
  timestampArray,
} from '../src/store/binary-array.ts'
import { createTestDatabase, type TestDatabase } from './support/database.ts'

let test: TestDatabase

beforeAll(async () => {
  test = await createTestDatabase()
})

afterAll(async () => {
  await test.destroy()
})

/** The elements as Postgres writes them to JSON. */
const read = async (array: Buffer, type: string): Promise<unknown> => {
  const { rows } = await sql<{ elements: unknown }>`
    select coalesce(json_agg(x order by n), '[]') as elements
    from unnest(${array}::${sql.raw(type)}[]) with ordinality a (x, n)`.execute(test.database)
  return rows[0]?.elements
}

/** What Postgres can hold. */
const text = fc.string({ unit: 'grapheme' }).map(value => value.replaceAll('\u0000', ''))

const arrays = <T>(element: fc.Arbitrary<T>) => fc.array(fc.option(element), { maxLength: 20 })

const cases: [string, fc.Arbitrary<readonly unknown[]>, (values: never) => Buffer][] = [
  ['text', arrays(text), textArray],
  ['bigint', arrays(fc.maxSafeInteger()), bigintArray],
  ['integer', arrays(fc.integer()), integerArray],
  ['boolean', arrays(fc.boolean()), booleanArray],
]

describe('an array in binary', () => {
  it.each(cases)('of %s is what Postgres reads', async (type, values, encode) => {
    await fc.assert(
      fc.asyncProperty(values, async elements => {
        expect(await read(encode(elements as never), type)).toEqual(elements)
      }),
      { numRuns: 50 },
    )
  })

  it('of jsonb is what Postgres reads', async () => {
    const value = fc.record({ text, number: fc.integer(), list: fc.array(fc.option(text)) })
    await fc.assert(
      fc.asyncProperty(arrays(value), async elements => {
        const texts = elements.map(element => (element === null ? null : JSON.stringify(element)))
        expect(await read(jsonbArray(texts), 'jsonb')).toEqual(elements)
      }),
      { numRuns: 50 },
    )
  })

  it('of times is what Postgres reads', async () => {
    const time = fc.date({
      min: new Date('1900-01-01T00:00:00Z'),
      max: new Date('2200-01-01T00:00:00Z'),
      noInvalidDate: true,
    })
    await fc.assert(
      fc.asyncProperty(arrays(time), async dates => {
        const texts = dates.map(date => date?.toISOString() ?? null)
        const elements = (await read(timestampArray(texts), 'timestamptz')) as (string | null)[]
        const times = elements.map(element => (element === null ? null : new Date(element).toISOString()))
        expect(times).toEqual(texts)
      }),
      { numRuns: 50 },
    )
  })

  it('with half a surrogate pair in its JSON is refused by Postgres, not changed', async () => {
    await expect(read(jsonbArray([JSON.stringify('\ud800')]), 'jsonb')).rejects.toMatchObject({
      code: '22P02',
    })
  })
})
