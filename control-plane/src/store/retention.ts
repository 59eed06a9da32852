import { sql } from 'kysely'
import type { Database } from './database.ts'
import { reading } from './unavailable.ts'

/**
 * Drops the partitions of the log in which nothing is younger than `keepDays`. The newest partition always
 * stays, and so does everything that a sink has not yet been given. Returns the names of the dropped ones.
 */
export const dropOldPartitions = async (database: Database, keepDays: number): Promise<string[]> =>
  reading(async () => {
    const candidates = await sql<{ name: string; to_revision: string }>`
      select name, to_revision::text from change_partition p
      where to_revision <= (select revision from mesh_revision)
        and to_revision <= coalesce((select min(revision) from outbox_cursor), to_revision)
      order by from_revision
    `.execute(database)
    const dropped: string[] = []
    for (const { name, to_revision: upper } of candidates.rows) {
      const old = await database.transaction().execute(async transaction => {
        const newest = await sql<{ old: boolean }>`
          select coalesce(max(occurred_at) < clock_timestamp() - make_interval(days => ${keepDays}), true) as old
          from ${sql.table(name)} where revision >= ${upper}::bigint - 1000
        `.execute(transaction)
        if (newest.rows[0]?.old !== true) return false
        await sql`drop table ${sql.table(name)}`.execute(transaction)
        await transaction.deleteFrom('change_partition').where('name', '=', name).execute()
        return true
      })
      if (!old) break
      dropped.push(name)
    }
    return dropped
  })
