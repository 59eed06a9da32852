import { sql } from 'kysely'
import type { Instance } from '../domain/instance.ts'
import type { Transaction } from './database.ts'
import { toInstance } from './rows.ts'

interface ReadInstancesOptions {
  /** Blocks of the table in one statement; the default is a megabyte, some thousands of instances. */
  readonly pageBlocks?: number
}

/**
 * Every instance, in no particular order, as of the snapshot of a REPEATABLE READ transaction. It reads the table block
 * by block: no statement takes long however large the mesh is, and the rows of a page are garbage before they
 * are old. The next page is under way while one is converted. Where a row lies stays the same for as long as the
 * transaction can see it.
 */
export const readInstances = async (
  transaction: Transaction,
  { pageBlocks = 128 }: ReadInstancesOptions = {},
): Promise<Instance[]> => {
  const { rows: sizes } = await sql<{ blocks: string }>`
    select pg_relation_size('instance') / current_setting('block_size')::bigint as blocks
  `.execute(transaction)
  const blocks = Number(sizes[0]?.blocks ?? 0)
  const read = (from: number) =>
    transaction
      .selectFrom('instance')
      .select([
        'service',
        'id',
        'incarnation',
        'spec',
        'verdict',
        'evidence',
        'override',
        'revision',
        'flapping',
      ])
      // Text costs less than the Date that a driver makes of a timestamp.
      .select([
        sql<string | null>`remove_at::text`.as('remove_at'),
        sql<string | null>`review_at::text`.as('review_at'),
        sql<string>`registered_at::text`.as('registered_at'),
      ])
      .where(sql<boolean>`ctid >= ${`(${from},0)`}::tid and ctid < ${`(${from + pageBlocks},0)`}::tid`)
      .execute()
  const instances: Instance[] = []
  let page = read(0)
  for (let next = pageBlocks; ; next += pageBlocks) {
    const rows = await page
    const more = next < blocks
    if (more) page = read(next)
    for (const row of rows) instances.push(toInstance(row))
    if (!more) return instances
  }
}
