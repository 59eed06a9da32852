import { sql } from 'kysely'
import type { Database, Transaction } from './database.ts'
import { reading } from './unavailable.ts'
import { FencedError } from './write.ts'

/** What must stay in the log, whoever may have read it. */
export interface RetentionRule {
  /** Changes that are younger than this. */
  readonly keepDays: number
  /** At most so many revisions, rounded up to whole partitions; null: as many as `keepDays` keeps. */
  readonly keepRevisions: number | null
}

interface DropOptions extends RetentionRule {
  readonly database: Database
  /** Only while the role has this fence. */
  readonly fence: { readonly role: string; readonly fence: number }
}

/** A partition can be dropped only between the log's readers; writers behind us must not wait long for that. */
const lockTimeoutMs = 500

/**
 * Drops the partitions of the log in which nothing is younger than `keepDays`, and the oldest ones beyond
 * `keepRevisions`. The newest partition always stays, and so does everything that a sink has not yet been given.
 * Returns the names of the dropped ones. Rejects with FencedError, and with `database_unavailable` also when a reader
 * held a partition for too long.
 */
export const dropOldPartitions = async ({ database, fence, ...rule }: DropOptions): Promise<string[]> =>
  reading(async () => {
    const candidates = await sql<{ name: string; to_revision: string; beyond: boolean }>`
      select name, to_revision::text, to_revision <= head - ${rule.keepRevisions}::bigint as beyond
      from change_partition, (select revision as head from mesh_revision) as log
      where to_revision <= head
        and to_revision <= coalesce((select min(revision) from outbox_cursor), to_revision)
      order by from_revision
    `.execute(database)
    const dropped: string[] = []
    for (const { name, to_revision: upper, beyond } of candidates.rows) {
      const done = await database.transaction().execute(async transaction => {
        await holdRole(transaction, fence)
        if (!beyond && !(await isOld(transaction, { name, upper, keepDays: rule.keepDays }))) return false
        await sql`select set_config('lock_timeout', ${String(lockTimeoutMs)}, true)`.execute(transaction)
        await sql`drop table ${sql.table(name)}`.execute(transaction)
        await transaction.deleteFrom('change_partition').where('name', '=', name).execute()
        return true
      })
      // The log has no gaps: what is younger than one that stays, stays.
      if (!done) break
      dropped.push(name)
    }
    return dropped
  })

const isOld = async (
  transaction: Transaction,
  partition: { readonly name: string; readonly upper: string; readonly keepDays: number },
): Promise<boolean> => {
  const { name, upper, keepDays } = partition
  const newest = await sql<{ old: boolean }>`
    select coalesce(max(occurred_at) < clock_timestamp() - ${keepDays} * interval '1 day', true) as old
    from ${sql.table(name)} where revision >= ${upper}::bigint - 1000
  `.execute(transaction)
  return newest.rows[0]?.old === true
}

/** Nobody else gets the role before this transaction ends. */
const holdRole = async (transaction: Transaction, { role, fence }: DropOptions['fence']): Promise<void> => {
  const held = await transaction
    .selectFrom('role')
    .select('fence')
    .where('name', '=', role)
    .where('fence', '=', String(fence))
    .forShare()
    .executeTakeFirst()
  if (held === undefined) throw new FencedError(role, fence)
}
