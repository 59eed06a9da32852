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
  /** What a sink has not been given stays while it is younger than this, and is within ten times `keepRevisions`. */
  readonly holdDays: number
}

/** A partition that is no more, and the sinks that had not been given all of it. */
export interface DroppedPartition {
  readonly name: string
  readonly missedBy: readonly string[]
}

interface DropOptions extends RetentionRule {
  readonly database: Database
  /** Only while the role has this fence. */
  readonly fence: { readonly role: string; readonly fence: number }
}

/** A partition can be dropped only between the log's readers; writers behind us must not wait long for that. */
const lockTimeoutMs = 500
/** A sink that waits holds so many times the revisions that the log keeps anyway. */
const heldFactor = 10

/**
 * Drops the partitions of the log in which nothing is younger than `keepDays`, and the oldest ones beyond
 * `keepRevisions`. The newest partition always stays. What a sink has not yet been given stays longer, but not for
 * ever: one that is paused, broken or forgotten must not fill the disk. Rejects with FencedError, and with
 * `database_unavailable` also when a reader held a partition for too long.
 */
export const dropOldPartitions = async ({
  database,
  fence,
  ...rule
}: DropOptions): Promise<DroppedPartition[]> =>
  reading(async () => {
    const candidates = await sql<Candidate>`
      select name, to_revision::text, to_revision <= head - ${rule.keepRevisions}::bigint as beyond,
        to_revision <= head - ${rule.keepRevisions}::bigint * ${heldFactor} as "heldBeyond",
        array(select sink from outbox_cursor where revision < to_revision order by sink) as waiting
      from change_partition, (select revision as head from mesh_revision) as log
      where to_revision <= head
      order by from_revision
    `.execute(database)
    const dropped: DroppedPartition[] = []
    for (const { name, to_revision: upper, beyond, heldBeyond, waiting } of candidates.rows) {
      const held = waiting.length > 0 && !heldBeyond
      const done = await database.transaction().execute(async transaction => {
        await holdRole(transaction, fence)
        if (!beyond && !(await isOld(transaction, { name, upper, days: rule.keepDays }))) return false
        if (held && !(await isOld(transaction, { name, upper, days: rule.holdDays }))) return false
        await sql`select set_config('lock_timeout', ${String(lockTimeoutMs)}, true)`.execute(transaction)
        await sql`drop table ${sql.table(name)}`.execute(transaction)
        await transaction.deleteFrom('change_partition').where('name', '=', name).execute()
        return true
      })
      // The log has no gaps: what is younger than one that stays, stays.
      if (!done) break
      dropped.push({ name, missedBy: waiting })
    }
    return dropped
  })

interface Candidate {
  readonly name: string
  readonly to_revision: string
  readonly beyond: boolean | null
  readonly heldBeyond: boolean | null
  /** Sinks that have not been given all of it. */
  readonly waiting: readonly string[]
}

const isOld = async (
  transaction: Transaction,
  partition: { readonly name: string; readonly upper: string; readonly days: number },
): Promise<boolean> => {
  const { name, upper, days } = partition
  const newest = await sql<{ old: boolean }>`
    select coalesce(max(occurred_at) < clock_timestamp() - ${days} * interval '1 day', true) as old
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
