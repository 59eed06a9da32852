import { sql } from 'kysely'
import type { Revision } from '../domain/revision.ts'
import type { Database, Transaction } from './database.ts'
import { reading } from './unavailable.ts'

interface Cursor {
  readonly revision: Revision
  readonly position: number
}

interface Fenced {
  readonly sink: string
  readonly fence: number
}

interface Parked<Event extends object> {
  readonly id: string
  readonly revision: Revision
  readonly position: number
  readonly aggregateType: string
  readonly aggregateId: string
  readonly event: Event
  readonly error: string
  readonly attempts: number
}

interface ParkedRow {
  readonly change_id: string
  readonly revision: string
  readonly position: number
  readonly aggregatetype: string
  readonly aggregateid: string
  readonly event: object
  readonly error: string
  readonly attempts: number
}

/**
 * How far each sink is, and what it refused. `Event` is what outbox/ stores as a parked event: rows are written
 * by it alone. Fenced writes lock the sink's cursor row and look at its fence in the same transaction, so a former
 * owner that wakes up after a pause changes nothing. Rejects with `database_unavailable`.
 */
export class OutboxTable<Event extends object> {
  readonly #database: Database

  constructor(database: Database) {
    this.#database = database
  }

  async claim({ sink, fence, start }: Fenced & { readonly start: 'oldest' | 'now' }): Promise<Cursor | null> {
    const beginning =
      start === 'now'
        ? sql`(select revision from mesh_revision)`
        : sql`coalesce((select min(from_revision) from change_partition), 1) - 1`
    return reading(async () => {
      const { rows } = await sql<{ revision: string; position: number }>`
        insert into outbox_cursor (sink, revision, position, fence, updated_at)
        values (${sink}, ${beginning}, 0, ${fence}, clock_timestamp())
        on conflict (sink) do update set fence = excluded.fence
          where outbox_cursor.fence <= excluded.fence
        returning revision, position`.execute(this.#database)
      const row = rows[0]
      return row === undefined ? null : { revision: Number(row.revision), position: row.position }
    })
  }

  async advance({
    sink,
    fence,
    to,
    park,
  }: Fenced & { readonly to: Cursor; readonly park: readonly Parked<Event>[] }): Promise<boolean> {
    return reading(() =>
      this.#database.transaction().execute(async transaction => {
        const { numUpdatedRows } = await transaction
          .updateTable('outbox_cursor')
          .set({ revision: to.revision, position: to.position, updated_at: sql<Date>`clock_timestamp()` })
          .where('sink', '=', sink)
          .where('fence', '=', String(fence))
          .executeTakeFirst()
        if (numUpdatedRows === 0n) return false
        if (park.length > 0) await this.#park(transaction, sink, park)
        return true
      }),
    )
  }

  async parkedAggregates(sink: string): Promise<{ aggregates: string[]; events: number }> {
    return reading(async () => {
      const rows = await this.#database
        .selectFrom('outbox_parked')
        .select(['aggregatetype', 'aggregateid'])
        .select(({ fn }) => fn.countAll<string>().as('events'))
        .where('sink', '=', sink)
        .groupBy(['aggregatetype', 'aggregateid'])
        .execute()
      return {
        aggregates: rows.map(({ aggregatetype, aggregateid }) => `${aggregatetype}/${aggregateid}`),
        events: rows.reduce((sum, { events }) => sum + Number(events), 0),
      }
    })
  }

  async parkedHeads({
    sink,
    limit,
  }: {
    readonly sink: string
    readonly limit: number
  }): Promise<Parked<Event>[]> {
    return reading(async () => {
      const { rows } = await sql<ParkedRow>`
        select * from (
          select distinct on (aggregatetype, aggregateid) *
          from outbox_parked where sink = ${sink}
          order by aggregatetype, aggregateid, revision, position
        ) heads
        order by attempts, revision, position limit ${limit}`.execute(this.#database)
      return rows.map(row => this.#toParked(row))
    })
  }

  async parkedOf({
    sink,
    aggregateType,
    aggregateId,
    limit,
  }: { readonly sink: string; readonly limit: number } & Pick<
    Parked<Event>,
    'aggregateType' | 'aggregateId'
  >): Promise<Parked<Event>[]> {
    return reading(async () => {
      const rows = await this.#database
        .selectFrom('outbox_parked')
        .selectAll()
        .where('sink', '=', sink)
        .where('aggregatetype', '=', aggregateType)
        .where('aggregateid', '=', aggregateId)
        .orderBy('revision')
        .orderBy('position')
        .limit(limit)
        .execute()
      return rows.map(row => this.#toParked(row))
    })
  }

  async unpark({ sink, fence, id }: Fenced & { readonly id: string }): Promise<boolean> {
    return this.#fenced({ sink, fence }, async transaction => {
      await transaction
        .deleteFrom('outbox_parked')
        .where('sink', '=', sink)
        .where('change_id', '=', id)
        .execute()
    })
  }

  async refused({
    sink,
    fence,
    id,
    error,
  }: Fenced & { readonly id: string; readonly error: string }): Promise<boolean> {
    return this.#fenced({ sink, fence }, async transaction => {
      await transaction
        .updateTable('outbox_parked')
        .set(({ eb }) => ({ error, attempts: eb('attempts', '+', 1) }))
        .where('sink', '=', sink)
        .where('change_id', '=', id)
        .execute()
    })
  }

  async progress(sink: string): Promise<{ cursor: Cursor | null; head: Revision; parked: number }> {
    return reading(async () => {
      const { rows } = await sql<{
        head: string
        revision: string | null
        position: number | null
        parked: string
      }>`
        select r.revision as head, c.revision, c.position,
               (select count(*) from outbox_parked where sink = ${sink}) as parked
        from mesh_revision r left join outbox_cursor c on c.sink = ${sink}`.execute(this.#database)
      const row = rows[0]
      const revision = row?.revision ?? null
      const cursor = revision === null ? null : { revision: Number(revision), position: row?.position ?? 0 }
      return { cursor, head: Number(row?.head ?? 0), parked: Number(row?.parked ?? 0) }
    })
  }

  async #fenced(
    { sink, fence }: Fenced,
    work: (transaction: Transaction) => Promise<void>,
  ): Promise<boolean> {
    return reading(() =>
      this.#database.transaction().execute(async transaction => {
        const owned = await transaction
          .selectFrom('outbox_cursor')
          .select('fence')
          .where('sink', '=', sink)
          .where('fence', '=', String(fence))
          .forUpdate()
          .executeTakeFirst()
        if (owned === undefined) return false
        await work(transaction)
        return true
      }),
    )
  }

  async #park(transaction: Transaction, sink: string, events: readonly Parked<Event>[]): Promise<void> {
    const rows = events.map(parked => ({
      change_id: parked.id,
      revision: parked.revision,
      position: parked.position,
      aggregatetype: parked.aggregateType,
      aggregateid: parked.aggregateId,
      event: parked.event,
      error: parked.error,
      attempts: parked.attempts,
    }))
    // One parameter whatever their number; again after a restored database is the same event.
    await sql`
      insert into outbox_parked
      select ${sink}, p.change_id, p.revision, p.position, p.aggregatetype, p.aggregateid, p.event, p.error,
             p.attempts, clock_timestamp()
      from jsonb_to_recordset(${JSON.stringify(rows)}::jsonb) as p (
        change_id uuid, revision bigint, position integer, aggregatetype text, aggregateid text, event jsonb,
        error text, attempts integer)
      on conflict (sink, change_id) do nothing`.execute(transaction)
  }

  #toParked(row: ParkedRow): Parked<Event> {
    return {
      id: row.change_id,
      revision: Number(row.revision),
      position: row.position,
      aggregateType: row.aggregatetype,
      aggregateId: row.aggregateid,
      // Only outbox/ writes this table, and it writes Events.
      event: row.event as Event,
      error: row.error,
      attempts: row.attempts,
    }
  }
}
