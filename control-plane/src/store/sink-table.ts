import { sql } from 'kysely'
import type { ParkedEntry } from '../domain/outbox.ts'
import { CompactedError, type Revision } from '../domain/revision.ts'
import type { Database } from './database.ts'
import { beginning, mayHaveCursor, type SinkIdentity } from './sink-cursor.ts'
import { reading } from './unavailable.ts'

interface ParkedRow {
  readonly change_id: string
  readonly revision: string
  readonly position: number
  readonly aggregatetype: string
  readonly aggregateid: string
  readonly event: unknown
  readonly error: string
  readonly attempts: number
  readonly parked_at: Date
}

/** Replicas declare their sinks once a minute. A sink without a cursor has nothing to forget. */
const orphaned = sql<boolean>`origin = 'configuration'
  and declared_at < clock_timestamp() - interval '3 minutes'`

/**
 * What operators ask of a sink, whoever owns it: each wish begins a new epoch, so that the owner notices it and
 * what it stores under the old one has no effect. Rejects with `database_unavailable`.
 */
export class SinkTable {
  readonly #database: Database

  constructor(database: Database) {
    this.#database = database
  }

  async pause(identity: SinkIdentity, by: string): Promise<void> {
    await this.#wish(
      identity,
      sql`paused_at = coalesce(outbox_cursor.paused_at, clock_timestamp()), paused_by = ${by}`,
    )
  }

  async resume(identity: SinkIdentity): Promise<void> {
    await this.#wish(identity, sql`paused_at = null, paused_by = null`)
  }

  /** Has the owner try parked events now. */
  async retry(identity: SinkIdentity): Promise<void> {
    await this.#wish(identity, sql`updated_at = clock_timestamp()`)
  }

  /**
   * Everything from this revision on is delivered again; `oldest`: all that the log has. Resolves with the revision.
   * Rejects with CompactedError when the log no longer has it, with RangeError when it is later than the next one.
   */
  async replay(identity: SinkIdentity, from: Revision | 'oldest'): Promise<Revision> {
    const { rows } = await reading(() =>
      sql<{ oldest: string; head: string }>`
        select ${beginning('oldest')} + 1 as oldest, revision as head from mesh_revision`.execute(
        this.#database,
      ),
    )
    const oldest = Number(rows[0]?.oldest ?? 1)
    const head = Number(rows[0]?.head ?? 0)
    const first = from === 'oldest' ? oldest : from
    if (first < oldest) throw new CompactedError(first, oldest)
    if (first > head + 1) throw new RangeError(`the log ends at revision ${head}`)
    await this.#wish(identity, sql`revision = ${first - 1}, position = 0`)
    return first
  }

  /** In order of the log, after one of them. */
  async parked({
    sink,
    after,
    limit,
  }: {
    readonly sink: string
    readonly after: { readonly revision: Revision; readonly position: number }
    readonly limit: number
  }): Promise<ParkedEntry[]> {
    return reading(async () => {
      const { rows } = await sql<ParkedRow>`
        select change_id, revision, position, aggregatetype, aggregateid, event, error, attempts, parked_at
        from outbox_parked where sink = ${sink} and (revision, position) > (${after.revision}, ${after.position})
        order by revision, position limit ${limit}`.execute(this.#database)
      return rows.map(row => ({
        id: row.change_id,
        revision: Number(row.revision),
        position: row.position,
        aggregateType: row.aggregatetype,
        aggregateId: row.aggregateid,
        event: row.event,
        error: row.error,
        attempts: row.attempts,
        parkedAt: row.parked_at.toISOString(),
      }))
    })
  }

  /** Gives up everything that is parked of one instance or document; how much that was. */
  async dropAggregate(
    identity: SinkIdentity,
    { aggregateType, aggregateId }: Pick<ParkedEntry, 'aggregateType' | 'aggregateId'>,
  ): Promise<number> {
    const dropped = await reading(() =>
      this.#database
        .deleteFrom('outbox_parked')
        .where('sink', '=', identity.sink)
        .where('aggregatetype', '=', aggregateType)
        .where('aggregateid', '=', aggregateId)
        .executeTakeFirst(),
    )
    if (dropped.numDeletedRows > 0n) await this.retry(identity)
    return Number(dropped.numDeletedRows)
  }

  /** Gives a parked event up; the ones behind it are tried. False: there is no such event. */
  async drop(identity: SinkIdentity, id: string): Promise<boolean> {
    const dropped = await reading(async () => {
      const { numDeletedRows } = await this.#database
        .deleteFrom('outbox_parked')
        .where('sink', '=', identity.sink)
        .where('change_id', '=', id)
        .executeTakeFirst()
      return numDeletedRows > 0n
    })
    if (dropped) await this.retry(identity)
    return dropped
  }

  /** Says that the configuration of a replica has these sinks. */
  async declare(sinks: readonly string[]): Promise<void> {
    if (sinks.length === 0) return
    await reading(() =>
      this.#database
        .updateTable('outbox_cursor')
        .set({ declared_at: sql`clock_timestamp()` })
        .where('sink', 'in', [...sinks])
        .execute(),
    )
  }

  /** Sinks that came from the configuration of replicas, none of which has had it for a while. */
  async orphans(): Promise<string[]> {
    return reading(async () => {
      const { rows } = await sql<{ sink: string }>`
        select sink from outbox_cursor where ${orphaned} order by sink`.execute(this.#database)
      return rows.map(({ sink }) => sink)
    })
  }

  /** Removes what is kept of such a sink. False: there is none, or a replica has it after all. */
  async forgetOrphan(name: string): Promise<boolean> {
    return reading(async () => {
      const { rows } = await sql`
        with gone as (
          delete from outbox_cursor where sink = ${name} and ${orphaned} returning sink
        ), parked as (
          delete from outbox_parked p using gone where p.sink = gone.sink
        )
        select from gone`.execute(this.#database)
      return rows.length > 0
    })
  }

  /** Removes what is kept of sinks whose document is gone; their names. */
  async forget(): Promise<string[]> {
    return reading(async () => {
      const { rows } = await sql<{ sink: string }>`
        with gone as (
          delete from outbox_cursor c where origin = 'document'
            and not exists (select from document d where d.kind = 'EventSink' and d.name = c.sink)
          returning sink
        ), parked as (
          delete from outbox_parked p using gone where p.sink = gone.sink
        )
        select sink from gone`.execute(this.#database)
      return rows.map(({ sink }) => sink)
    })
  }

  /** Also of a sink that has never been claimed. */
  async #wish(identity: SinkIdentity, change: ReturnType<typeof sql>): Promise<void> {
    const { sink, start, origin } = identity
    await reading(async () => {
      await sql`
        insert into outbox_cursor (sink, revision, position, fence, origin, updated_at)
        select ${sink}, ${beginning(start)}, 0, 0, ${origin}, clock_timestamp() where ${mayHaveCursor(identity)}
        on conflict (sink) do nothing`.execute(this.#database)
      await sql`update outbox_cursor set epoch = epoch + 1, ${change} where sink = ${sink}`.execute(
        this.#database,
      )
    })
  }
}
