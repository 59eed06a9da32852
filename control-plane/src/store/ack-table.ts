import { sql } from 'kysely'
import type { Revision } from '../domain/revision.ts'
import type { ConnectionOptions, Database } from './database.ts'
import { listen } from './listen.ts'
import { reading } from './unavailable.ts'

/** A revision that another replica wants to be told about, and for how long from now (ms). */
export interface WantedRevision {
  readonly revision: Revision
  readonly leftMs: number
}

/** What one replica says of one revision; `R` is the shape of the report, which the store does not know. */
export interface AckReport<R> {
  readonly revision: Revision
  readonly report: R
  /** Nothing of it will change any more. */
  readonly complete: boolean
  /** How long it may be read (ms). */
  readonly keepMs: number
}

export interface AckRow<R> {
  readonly replica: string
  readonly report: R
  readonly complete: boolean
}

/** `wanted`: somebody has begun to wait. `reported`: somebody has said something. */
export type AckHint = 'wanted' | 'reported'

/** Revisions that are read at once, of those that are wanted. */
const wantedLimit = 128

const channels = { wanted: 'waymark_ack_wanted', reported: 'waymark_ack_reported' } as const

/**
 * Where replicas ask each other whether the sidecars of each have ACKed a revision. Rows live as long as somebody
 * waits; who asks next removes what is left over. While nobody waits nothing is read or written.
 */
export class AckTable<R extends object> {
  readonly #database: Database
  readonly #connection: ConnectionOptions
  readonly #replica: string

  constructor(options: {
    readonly database: Database
    readonly connection: ConnectionOptions
    readonly replica: string
  }) {
    this.#database = options.database
    this.#connection = options.connection
    this.#replica = options.replica
  }

  /** Asks the other replicas to report on `revision` for the next `ms`. */
  async want(revision: Revision, ms: number): Promise<void> {
    await reading(() =>
      sql`
        with old_reports as (delete from ack_report where until < clock_timestamp()),
          old_wishes as (delete from ack_wanted where until < clock_timestamp()
            and not (revision = ${revision} and replica = ${this.#replica}))
        insert into ack_wanted (revision, replica, until)
        values (${revision}, ${this.#replica}, clock_timestamp() + ${ms}::integer * interval '1 ms')
        on conflict (revision, replica) do update set until = greatest(ack_wanted.until, excluded.until)
        returning pg_notify(${channels.wanted}, '')
      `.execute(this.#database),
    )
  }

  /** What other replicas want to be told, the newest wishes first. */
  async wanted(): Promise<WantedRevision[]> {
    const { rows } = await reading(() =>
      sql<{ revision: string; left_ms: string }>`
        select revision, ceil(extract(epoch from max(until) - clock_timestamp()) * 1000) as left_ms
        from ack_wanted where replica <> ${this.#replica} and until > clock_timestamp()
        group by revision order by max(until) desc limit ${wantedLimit}
      `.execute(this.#database),
    )
    return rows.map(row => ({ revision: Number(row.revision), leftMs: Number(row.left_ms) }))
  }

  /** Says what this replica's sidecars have made of these revisions. */
  async report(entries: readonly AckReport<R>[]): Promise<void> {
    if (entries.length === 0) return
    const rows = JSON.stringify(entries)
    await reading(() =>
      sql`
        with saved as (
          insert into ack_report (revision, replica, report, complete, until)
          select revision, ${this.#replica}, report, complete,
            clock_timestamp() + "keepMs" * interval '1 ms'
          from jsonb_to_recordset(${rows}::jsonb)
            x (revision bigint, report jsonb, complete boolean, "keepMs" integer)
          on conflict (revision, replica) do update
            set report = excluded.report, complete = excluded.complete, until = excluded.until
          returning 1
        )
        select pg_notify(${channels.reported}, '') from (select count(*) from saved) s
      `.execute(this.#database),
    )
  }

  /** What the other replicas have said of `revision`. */
  async reports(revision: Revision): Promise<AckRow<R>[]> {
    const rows = await reading(() =>
      this.#database
        .selectFrom('ack_report')
        .select(['replica', 'report', 'complete'])
        .where('revision', '=', String(revision))
        .where('replica', '<>', this.#replica)
        .orderBy('replica')
        .execute(),
    )
    // The report is what `report` wrote.
    return rows.map(row => ({ replica: row.replica, report: row.report as R, complete: row.complete }))
  }

  /**
   * Calls `onHint` when there may be something to read, until the signal aborts or the connection breaks. Resolves
   * then; rejects when no connection could be made.
   */
  listen(onHint: (hint: AckHint) => void, signal: AbortSignal): Promise<void> {
    return listen({
      connection: this.#connection,
      channels: Object.values(channels),
      // Those that came before are lost: look once.
      onListening: () => {
        onHint('wanted')
        onHint('reported')
      },
      onNotification: ({ channel }) => {
        onHint(channel === channels.wanted ? 'wanted' : 'reported')
      },
      signal,
    })
  }
}
