import { sql } from 'kysely'
import type { Database } from './database.ts'

/** A running control-plane process. */
export interface Replica {
  readonly id: string
  /** Where its REST and xDS listeners are: `host:port`. */
  readonly http: string
  readonly xds: string
  /** ISO 8601, Postgres time. */
  readonly startedAt: string
  readonly seenAt: string
}

/** Rows of replicas that have long gone are removed after this. */
const forgetAfter = '10 minutes'

/** Which replicas are running: each announces itself. Unlogged, so empty after a crash of Postgres. */
export class ReplicaTable {
  readonly #database: Database

  constructor(database: Database) {
    this.#database = database
  }

  /** Says that this replica lives, and forgets those that have been silent for long. Resolves with Postgres's time (ms). */
  async announce({ id, http, xds }: Pick<Replica, 'id' | 'http' | 'xds'>): Promise<number> {
    const { rows } = await sql<{ readonly seen_at: Date }>`
      with forgotten as (
        delete from replica where seen_at < clock_timestamp() - ${forgetAfter}::interval and id <> ${id}
      )
      insert into replica (id, started_at, seen_at, http, xds)
      values (${id}, clock_timestamp(), clock_timestamp(), ${http}, ${xds})
      on conflict (id) do update
        set seen_at = excluded.seen_at, http = excluded.http, xds = excluded.xds
      returning seen_at`.execute(this.#database)
    const row = rows[0]
    if (row === undefined) throw new Error('the announcement of a replica left no row')
    return row.seen_at.getTime()
  }

  /** Those seen within `withinMs`, in order of their ids. */
  async live(withinMs: number): Promise<Replica[]> {
    const rows = await this.#database
      .selectFrom('replica')
      .selectAll()
      .where('seen_at', '>', sql<Date>`clock_timestamp() - ${withinMs}::integer * interval '1 ms'`)
      .orderBy('id')
      .execute()
    return rows.map(row => ({
      id: row.id,
      http: row.http,
      xds: row.xds,
      startedAt: row.started_at.toISOString(),
      seenAt: row.seen_at.toISOString(),
    }))
  }

  /** Says that this replica leaves. */
  async withdraw(id: string): Promise<void> {
    await this.#database.deleteFrom('replica').where('id', '=', id).execute()
  }
}
