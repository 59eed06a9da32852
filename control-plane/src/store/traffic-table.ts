import { sql } from 'kysely'
import type { Database } from './database.ts'

/** What one replica's sidecars have seen of one service; `T` is the shape of it, which the store does not know. */
export interface TrafficRow<T> {
  readonly replica: string
  readonly service: string
  readonly tally: T
}

/** Rows that nobody has confirmed for so long are as good as gone. */
const validMs = 15_000

const isValid = sql`at > clock_timestamp() - ${validMs}::integer * interval '1 ms'`

/**
 * Where replicas hand over what their sidecars report of services that fail somewhere, so that one of them can
 * decide. A calm mesh has no rows. Unlogged: replicas write theirs again. Rejects with what the database says.
 */
export class TrafficTable<T extends object> {
  readonly #database: Database
  readonly #replica: string

  constructor(options: { readonly database: Database; readonly replica: string }) {
    this.#database = options.database
    this.#replica = options.replica
  }

  /**
   * Writes this replica's rows in one statement and removes those of `calm` services. `suspects` are the instances
   * about which the other replicas are asked.
   */
  async save(
    rows: readonly { readonly service: string; readonly suspects: readonly string[]; readonly tally: T }[],
    calm: readonly string[],
  ): Promise<void> {
    if (rows.length === 0 && calm.length === 0) return
    await sql`
      with calm as (
        delete from traffic_tally where replica = ${this.#replica} and service = any (${[...calm]}::text[])
      )
      insert into traffic_tally (service, replica, suspects, tally, at)
      select service, ${this.#replica}, suspects, tally, clock_timestamp()
      from jsonb_to_recordset(${JSON.stringify(rows)}::jsonb) x (service text, suspects text[], tally jsonb)
      on conflict (service, replica) do update
        set suspects = excluded.suspects, tally = excluded.tally, at = excluded.at
    `.execute(this.#database)
  }

  /** Whom the sidecars of other replicas suspect: instance ids by service, of at most `limit` services. */
  async suspectsOfOthers(limit: number): Promise<Map<string, readonly string[]>> {
    const { rows } = await sql<{ service: string; ids: string[] }>`
      select service, array_agg(distinct id) as ids from traffic_tally, unnest(suspects) id
      where replica <> ${this.#replica} and ${isValid} group by service order by service limit ${limit}
    `.execute(this.#database)
    return new Map(rows.map(({ service, ids }) => [service, ids]))
  }

  /** All that is valid, and Postgres time (ms since the epoch). Removes what is not. */
  async read(): Promise<{ readonly now: number; readonly rows: readonly TrafficRow<T>[] }> {
    const { rows } = await sql<{ now: string; rows: TrafficRow<T>[] | null }>`
      with stale as (delete from traffic_tally where not (${isValid}))
      select extract(epoch from clock_timestamp()) * 1000 as now,
        (select jsonb_agg(jsonb_build_object('replica', replica, 'service', service, 'tally', tally))
          from traffic_tally where ${isValid}) as rows
    `.execute(this.#database)
    const [row] = rows
    return { now: Number(row?.now), rows: row?.rows ?? [] }
  }
}
