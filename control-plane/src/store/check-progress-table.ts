import { sql } from 'kysely'
import type { EvidenceSource } from '../domain/evidence.ts'
import type { Database } from './database.ts'

/** How many results in a row speak against what a check stands by. */
export interface CheckProgress {
  readonly service: string
  readonly id: string
  readonly source: EvidenceSource
  /** null: not decided yet. */
  readonly status: 'passing' | 'critical' | null
  /** 0: none any more. */
  readonly against: number
}

/**
 * What checks have counted towards their thresholds, so that another replica can take them over without beginning
 * anew. Unlogged, and only of checks that count something: a healthy mesh has no rows.
 */
export class CheckProgressTable {
  readonly #database: Database

  constructor(database: Database) {
    this.#database = database
  }

  /** One statement. Rows that somebody else is writing are theirs. */
  async save(progress: readonly CheckProgress[]): Promise<void> {
    const rows = JSON.stringify(progress)
    await sql`
      with said as (
        select * from jsonb_to_recordset(${rows}::jsonb)
          as x (service text, id text, source text, status text, against integer)
      ), done as (
        delete from check_progress p using said s
        where s.against = 0 and p.service = s.service and p.id = s.id and p.source = s.source
      )
      insert into check_progress (service, id, source, status, against, counted_at)
      select s.service, s.id, s.source, s.status, s.against, clock_timestamp()
      from said s join instance i using (service, id) where s.against > 0
      order by s.service, s.id, s.source
      on conflict (service, id, source) do update
        set status = excluded.status, against = excluded.against, counted_at = excluded.counted_at`.execute(
      this.#database,
    )
  }

  /** What was counted last, at most `limit`, and how long ago that was (ms). */
  async read(limit: number): Promise<(CheckProgress & { readonly ageMs: number })[]> {
    const { rows } = await sql<CheckProgress & { readonly ageMs: number }>`
      select service, id, source, status, against,
        (extract(epoch from clock_timestamp() - counted_at) * 1000)::float8 as "ageMs"
      from check_progress order by counted_at desc limit ${limit}::integer`.execute(this.#database)
    return rows
  }
}
