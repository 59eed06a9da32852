import { sql } from 'kysely'
import type { FormerState } from '../domain/change.ts'
import { WaymarkError } from '../domain/errors.ts'
import type { MeshScope } from '../domain/mesh-scope.ts'
import { CompactedError, type Revision } from '../domain/revision.ts'
import type { Database } from './database.ts'
import { completeInstance } from './rows.ts'
import { reading } from './unavailable.ts'

/** What the log reaches from and to. */
interface LogBounds {
  /** The oldest revision whose changes are kept; head + 1 while there are none. */
  readonly oldest: Revision
  readonly head: Revision
}

/** Reads what the log says of the past. Rejects with `database_unavailable`. */
export class PastLog {
  readonly #database: Database

  constructor(database: Database) {
    this.#database = database
  }

  async bounds(): Promise<LogBounds> {
    return reading(async () => {
      const { head, oldest } = await this.#database
        .selectFrom('mesh_revision')
        .select(['revision as head', sql<string | null>`(select min(revision) from change)`.as('oldest')])
        .executeTakeFirstOrThrow()
      return { head: Number(head), oldest: oldest === null ? Number(head) + 1 : Number(oldest) }
    })
  }

  /**
   * The last revision at a moment (ISO 8601), by Postgres's clock. Rejects with CompactedError for a moment before
   * the log, with `invalid_request` for one that has not come.
   */
  async revisionAt(time: string): Promise<Revision> {
    return reading(async () => {
      // Times in the log grow with the revisions, so a binary search finds the place: some 20 rows are read. They are
      // shown in milliseconds, and mean what is shown.
      const { rows } = await sql<{ found: string; oldest: string; future: boolean }>`
        with recursive bounds as (
          select coalesce((select min(revision) from change), revision + 1) as oldest, revision as head
          from mesh_revision
        ), search (low, high) as (
          select oldest - 1, head from bounds
          union all
          select case when late then low else middle end, case when late then middle - 1 else high end
          from search
          cross join lateral (select (low + high + 1) / 2 as middle) as m
          cross join lateral (
            select date_trunc('milliseconds', occurred_at) > ${time}::timestamptz as late from change where revision = middle limit 1
          ) as c
          where low < high
        )
        select low::text as found, oldest::text as oldest, ${time}::timestamptz > clock_timestamp() as future
        from search, bounds where low = high`.execute(this.#database)
      const row = rows[0]
      if (row === undefined) throw new Error('the log has a gap')
      if (row.future) {
        throw new WaymarkError('invalid_request', '?at is in the future', {
          fields: [{ pointer: '?at', detail: `${time} has not come yet`, accepted: 'a past time' }],
        })
      }
      const [found, oldest] = [Number(row.found), Number(row.oldest)]
      // All of the log is later. Only where it is whole, that was before the first write.
      if (found < oldest && oldest > 1) throw new CompactedError(found, oldest)
      return found
    })
  }

  /**
   * Of each aggregate in the scope that changed after `after`, up to and including `upTo`, what it was before; of
   * `limit` aggregates at most. Reads every key in between, and the contents of one row for each aggregate. Rejects with CompactedError when `after + 1`
   * is no longer in the log.
   */
  async formerStates({
    after,
    upTo,
    scope,
    limit,
  }: {
    readonly after: Revision
    readonly upTo: Revision
    readonly scope: MeshScope
    readonly limit: number
  }): Promise<readonly FormerState[]> {
    if (upTo <= after) return []
    return reading(async () => {
      const { rows } = await sql<FormerState>`
        with first as (
          select aggregatetype, aggregateid, min(revision) as revision from change
          where revision > ${after} and revision <= ${upTo} and ${scopeCondition(scope)}
          group by aggregatetype, aggregateid
        )
        select distinct on (c.aggregatetype, c.aggregateid)
          c.aggregatetype as "aggregateType", c.aggregateid as "aggregateId", c.payload -> 'before' as before
        from first join change c using (revision, aggregatetype, aggregateid)
        order by c.aggregatetype, c.aggregateid, c.position limit ${limit}`.execute(this.#database)
      // Asked afterwards: if nothing is missing now, nothing was when the rows were read.
      const { oldest } = await this.bounds()
      if (oldest > after + 1) throw new CompactedError(after + 1, oldest)
      return rows.map(complete)
    })
  }
}

const complete = (row: FormerState): FormerState =>
  row.aggregateType === 'instance'
    ? { ...row, before: completeInstance(row.before) as FormerState['before'] }
    : row

const scopeCondition = (scope: MeshScope) => {
  if (scope === 'mesh') return sql<boolean>`true`
  if (scope === 'documents') return sql<boolean>`aggregatetype = 'document'`
  const { service } = scope
  return sql<boolean>`(
    (aggregatetype = 'instance' and starts_with(aggregateid, ${`${service}/`}))
    or (aggregatetype = 'document' and aggregateid = ${`Service/${service}`})
  )`
}
