import { sql } from 'kysely'
import type { LoggedChange, OutboxCursor, SinkHold } from '../domain/outbox.ts'
import { CompactedError, type Revision } from '../domain/revision.ts'
import type { Database } from './database.ts'
import { reading } from './unavailable.ts'

interface Row {
  readonly head: string
  readonly held: boolean
  readonly id: string | null
  readonly revision: string
  readonly position: number
  readonly last: boolean
  readonly aggregatetype: string
  readonly aggregateid: string
  readonly type: string
  readonly occurred: number
  readonly actor: string
  readonly traceparent: string | null
  readonly payload: string
}

/**
 * Reads the log for sinks: by changes and not by revisions, since one revision may hold tens of thousands of them,
 * and with payloads left as text. Rejects with `database_unavailable`.
 */
export class OutboxLog {
  readonly #database: Database

  constructor(database: Database) {
    this.#database = database
  }

  /**
   * Changes after a cursor, in order: at most `limit`, and no more once their payloads have reached `maxBytes`.
   * Rejects with CompactedError when retention has removed the next revision. `held`: the sink has this fence and
   * epoch in the snapshot that the page is of.
   */
  async read({
    hold,
    after,
    limit,
    maxBytes,
  }: {
    readonly hold: SinkHold
    readonly after: OutboxCursor
    readonly limit: number
    readonly maxBytes: number
  }): Promise<{ changes: LoggedChange[]; head: Revision; held: boolean }> {
    const next = after.revision + 1
    return reading(async () => {
      // One statement, so that head, rows and hold are of one snapshot. One row more than wanted says whether the last
      // one ends its revision. The first condition prunes partitions, the second continues within a revision.
      const { rows } = await sql<Row>`
        select r.revision as head, page.*,
          exists (select from outbox_cursor
            where sink = ${hold.sink} and fence = ${hold.fence} and epoch = ${hold.epoch}) as held
        from mesh_revision r left join lateral (
          select * from (
            select rows.*, row_number() over log as number,
              lead(revision) over log is distinct from revision as last,
              sum(length(payload)) over (log rows unbounded preceding) - length(payload) as before
            from (
              select id, revision, position, aggregatetype, aggregateid, type, actor, traceparent,
                floor(extract(epoch from occurred_at) * 1000)::float8 as occurred, payload::text as payload
              from change
              where revision >= ${next} and (revision, position) >= (${next}, ${after.position})
              order by revision, position limit ${limit + 1}
            ) rows
            window log as (order by revision, position)
          ) counted
          where number <= ${limit} and before < ${maxBytes}
        ) page on true
        order by page.revision, page.position`.execute(this.#database)
      const head = Number(rows[0]?.head ?? 0)
      const changes = rows.flatMap(row => (row.id === null ? [] : [toLogged(row, row.id)]))
      const [first] = changes
      const follows = first?.revision === next && first.position === after.position
      if (head >= next && !follows) {
        throw new CompactedError(next, await this.#oldest())
      }
      return { changes, head, held: rows[0]?.held ?? false }
    })
  }

  async #oldest(): Promise<Revision> {
    const { rows } = await sql<{ oldest: string | null }>`select min(revision) as oldest from change`.execute(
      this.#database,
    )
    return Number(rows[0]?.oldest ?? 0)
  }
}

const toLogged = (row: Row, id: string): LoggedChange => ({
  id,
  revision: Number(row.revision),
  position: row.position,
  last: row.last,
  aggregateType: row.aggregatetype,
  aggregateId: row.aggregateid,
  type: row.type,
  occurredAt: row.occurred,
  actor: row.actor,
  traceparent: row.traceparent,
  payload: row.payload,
})
