import { sql } from 'kysely'
import type { OutboxCursor, ParkedEvent, SinkHold } from '../domain/outbox.ts'
import type { Revision } from '../domain/revision.ts'
import type { Database, Transaction } from './database.ts'
import { beginning, mayHaveCursor, type SinkIdentity } from './sink-cursor.ts'
import { reading } from './unavailable.ts'

interface ParkedRow {
  readonly change_id: string
  readonly revision: string
  readonly position: number
  readonly aggregatetype: string
  readonly aggregateid: string
  readonly event: string
  readonly error: string
  readonly attempts: number
}

interface Progress {
  readonly cursor: OutboxCursor | null
  readonly epoch: number
  readonly paused: { readonly since: string; readonly by: string } | null
  readonly head: Revision
  readonly parked: number
  readonly waitingMs: number
  readonly oldest: Revision
  readonly gap: Gap | null
}

interface Gap {
  readonly deliveredTo: Revision
  readonly resumesAfter: Revision
  readonly reason: 'compacted' | 'restored'
  readonly at: string
}

const parkedColumns = sql`change_id, revision, position, aggregatetype, aggregateid, event::text as event, error, attempts`

/**
 * How far each sink is, and what it refused. Fenced writes lock the sink's cursor row and look at its fence and epoch
 * in the same transaction, so a former owner that wakes up after a pause changes nothing. Rejects with
 * `database_unavailable`.
 */
export class OutboxTable {
  readonly #database: Database

  constructor(database: Database) {
    this.#database = database
  }

  async claim({ fence, ...identity }: SinkIdentity & { readonly fence: number }): Promise<{
    cursor: OutboxCursor
    epoch: number
    paused: boolean
  } | null> {
    const { sink, start, origin } = identity
    return reading(async () => {
      const { rows } = await sql<{ revision: string; position: number; epoch: string; paused: boolean }>`
        insert into outbox_cursor (sink, revision, position, fence, origin, updated_at)
        select ${sink}, ${beginning(start)}, 0, ${fence}, ${origin}, clock_timestamp()
        where ${mayHaveCursor(identity)}
        on conflict (sink) do update set fence = excluded.fence, origin = excluded.origin,
            declared_at = excluded.updated_at
          where outbox_cursor.fence <= excluded.fence
        returning revision, position, epoch, paused_at is not null as paused`.execute(this.#database)
      const row = rows[0]
      if (row === undefined) return null
      const { revision, position, epoch, paused } = row
      return { cursor: { revision: Number(revision), position }, epoch: Number(epoch), paused }
    })
  }

  /**
   * One round trip. The commit does not wait for the disk: what a crash of Postgres takes back is delivered again,
   * and what was parked with it parked again.
   */
  async advance({
    sink,
    fence,
    epoch,
    to,
    park,
    gap = null,
  }: SinkHold & {
    readonly to: OutboxCursor
    readonly park: readonly ParkedEvent[]
    readonly gap?: Gap | null
  }): Promise<boolean> {
    const rows = park.map(({ event, ...rest }) => ({ ...rest, event: JSON.parse(event) as unknown }))
    return reading(async () => {
      const { rows: moved } = await sql`
        with quick as materialized (select set_config('synchronous_commit', 'off', true)), moved as (
          update outbox_cursor set revision = ${to.revision}, position = ${to.position},
            updated_at = clock_timestamp(),
            gap = coalesce(${gap === null ? null : JSON.stringify(gap)}::jsonb, gap)
          from quick where sink = ${sink} and fence = ${fence} and epoch = ${epoch}
          returning sink
        ), parked as (
          insert into outbox_parked (sink, change_id, revision, position, aggregatetype, aggregateid, event, error,
            attempts, parked_at)
          select moved.sink, id, revision, position, "aggregateType", "aggregateId", event, error, attempts,
            clock_timestamp()
          from moved, jsonb_to_recordset(${JSON.stringify(rows)}::jsonb) x (id uuid, revision bigint,
            position integer, "aggregateType" text, "aggregateId" text, event jsonb, error text, attempts integer)
          on conflict (sink, change_id) do nothing
        )
        select from moved`.execute(this.#database)
      return moved.length > 0
    })
  }

  async parkedAggregates(sink: string): Promise<{ aggregates: string[]; events: number; bytes: number }> {
    return reading(async () => {
      const rows = await this.#database
        .selectFrom('outbox_parked')
        .select(['aggregatetype', 'aggregateid'])
        .select(({ fn }) => fn.countAll<string>().as('events'))
        .select(sql<string>`sum(pg_column_size(event))`.as('bytes'))
        .where('sink', '=', sink)
        .groupBy(['aggregatetype', 'aggregateid'])
        .execute()
      return {
        aggregates: rows.map(({ aggregatetype, aggregateid }) => `${aggregatetype}/${aggregateid}`),
        events: rows.reduce((sum, { events }) => sum + Number(events), 0),
        bytes: rows.reduce((sum, { bytes }) => sum + Number(bytes), 0),
      }
    })
  }

  async parkedHeads({
    sink,
    limit,
  }: {
    readonly sink: string
    readonly limit: number
  }): Promise<ParkedEvent[]> {
    return reading(async () => {
      const { rows } = await sql<ParkedRow>`
        select ${parkedColumns} from (
          select distinct on (aggregatetype, aggregateid) *
          from outbox_parked where sink = ${sink}
          order by aggregatetype, aggregateid, revision, position
        ) heads
        order by attempts, revision, position limit ${limit}`.execute(this.#database)
      return rows.map(toParked)
    })
  }

  async parkedOf({
    sink,
    aggregateType,
    aggregateId,
    limit,
  }: { readonly sink: string; readonly limit: number } & Pick<
    ParkedEvent,
    'aggregateType' | 'aggregateId'
  >): Promise<ParkedEvent[]> {
    return reading(async () => {
      const { rows } = await sql<ParkedRow>`
        select ${parkedColumns} from outbox_parked
        where sink = ${sink} and aggregatetype = ${aggregateType} and aggregateid = ${aggregateId}
        order by revision, position limit ${limit}`.execute(this.#database)
      return rows.map(toParked)
    })
  }

  async unpark({ id, ...hold }: SinkHold & { readonly id: string }): Promise<boolean> {
    return this.#held(hold, async transaction => {
      await transaction
        .deleteFrom('outbox_parked')
        .where('sink', '=', hold.sink)
        .where('change_id', '=', id)
        .execute()
    })
  }

  async refused({
    id,
    error,
    ...hold
  }: SinkHold & { readonly id: string; readonly error: string }): Promise<boolean> {
    return this.#held(hold, async transaction => {
      await transaction
        .updateTable('outbox_parked')
        .set(({ eb }) => ({ error, attempts: eb('attempts', '+', 1) }))
        .where('sink', '=', hold.sink)
        .where('change_id', '=', id)
        .execute()
    })
  }

  async progress(sink: string): Promise<Progress> {
    return reading(async () => {
      const { rows } = await sql<{
        head: string
        revision: string | null
        position: number | null
        epoch: string | null
        paused_at: Date | null
        paused_by: string | null
        parked: string
        waiting: number | null
        oldest: string | null
        gap: Gap | null
      }>`
        select r.revision as head, c.revision, c.position, c.epoch, c.paused_at, c.paused_by, c.gap,
          (select min(from_revision) from change_partition) as oldest,
          (select count(*) from outbox_parked where sink = ${sink}) as parked,
          (select extract(epoch from clock_timestamp() - occurred_at)::float8 * 1000 from change n where n.revision > c.revision
            and (n.revision > c.revision + 1 or n.position >= c.position)
            order by n.revision, n.position limit 1) as waiting
        from mesh_revision r left join outbox_cursor c on c.sink = ${sink}`.execute(this.#database)
      const row = rows[0]
      const revision = row?.revision ?? null
      const pausedAt = row?.paused_at ?? null
      return {
        cursor: revision === null ? null : { revision: Number(revision), position: row?.position ?? 0 },
        epoch: Number(row?.epoch ?? 0),
        paused: pausedAt === null ? null : { since: pausedAt.toISOString(), by: row?.paused_by ?? '' },
        head: Number(row?.head ?? 0),
        parked: Number(row?.parked ?? 0),
        waitingMs: Math.max(0, row?.waiting ?? 0),
        oldest: Number(row?.oldest ?? 1),
        gap: row?.gap ?? null,
      }
    })
  }

  async #held(
    { sink, fence, epoch }: SinkHold,
    work: (transaction: Transaction) => Promise<void>,
  ): Promise<boolean> {
    return reading(() =>
      this.#database.transaction().execute(async transaction => {
        const owned = await transaction
          .selectFrom('outbox_cursor')
          .select('fence')
          .where('sink', '=', sink)
          .where('fence', '=', String(fence))
          .where('epoch', '=', String(epoch))
          .forUpdate()
          .executeTakeFirst()
        if (owned === undefined) return false
        await work(transaction)
        return true
      }),
    )
  }
}

const toParked = (row: ParkedRow): ParkedEvent => ({
  id: row.change_id,
  revision: Number(row.revision),
  position: row.position,
  aggregateType: row.aggregatetype,
  aggregateId: row.aggregateid,
  event: row.event,
  error: row.error,
  attempts: row.attempts,
})
