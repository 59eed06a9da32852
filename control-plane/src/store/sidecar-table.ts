import { sql } from 'kysely'
import type { Revision } from '../domain/revision.ts'
import type { Database } from './database.ts'
import { reading } from './unavailable.ts'

/** One sidecar's status as its replica wrote it down; `S` is the shape of the status, which the store does not know. */
export interface SidecarRow<S> {
  readonly node: string
  readonly replica: string
  readonly status: S
  /** ISO 8601, Postgres time. */
  readonly seenAt: string
  /** When its last stream ended; null: it is connected. */
  readonly endedAt: string | null
  /** The replica has since said that its settled sidecars have everything up to here; null: it has not. */
  readonly coveredTo: Revision | null
}

/** How long a sidecar that has left, or whose replica has, is remembered. */
const rememberFor = '10 minutes'

/** A replica `r` that runs. */
const runs = sql`r.seen_at > clock_timestamp() - interval '5 s'`

/** What each sidecar has, shared by the replicas. Unlogged: after a crash every replica writes its own again. */
export class SidecarTable<S extends object> {
  readonly #database: Database
  readonly #replica: string
  readonly #run: string

  /** `run` is another one whenever the replica starts: what it wrote before says nothing about its streams now. */
  constructor(options: { readonly database: Database; readonly replica: string; readonly run: string }) {
    this.#database = options.database
    this.#replica = options.replica
    this.#run = options.run
  }

  /** Writes the statuses of this replica's sidecars in one statement; where else they were is forgotten. */
  async save(entries: readonly { readonly node: string; readonly status: S }[]): Promise<void> {
    if (entries.length === 0) return
    const rows = JSON.stringify(entries)
    await reading(() =>
      sql`
        with connected as (
          select node, status from jsonb_to_recordset(${rows}::jsonb) x (node text, status jsonb)
        ), gone as (
          delete from sidecar s using connected c
          where s.node = c.node and s.replica <> ${this.#replica} and s.ended_at is not null
        )
        insert into sidecar (node, replica, status, seen_at, run)
        select node, ${this.#replica}, status, clock_timestamp(), ${this.#run} from connected
        on conflict (node, replica) do update
          set status = excluded.status, seen_at = excluded.seen_at, ended_at = null, run = excluded.run
      `.execute(this.#database),
    )
  }

  /**
   * Says that every sidecar of this run whose row is settled has everything up to `revision`: one row instead of one
   * for each. Call it after the rows have been saved. True when it is a new row: this is the replica's first, or the
   * database has crashed, and the other rows are gone too.
   */
  async cover(revision: Revision): Promise<boolean> {
    // A row that was updated has an xmax: the transaction that locked its former version.
    const { rows } = await reading(() =>
      sql<{ inserted: boolean }>`
        insert into sidecar_coverage (replica, run, revision) values (${this.#replica}, ${this.#run}, ${revision})
        on conflict (replica) do update set run = excluded.run, revision = excluded.revision
        returning xmax = 0 as inserted
      `.execute(this.#database),
    )
    return rows[0]?.inserted === true
  }

  /**
   * Remembers as ended what has no stream here any more, if this replica was the last to have one. What replicas
   * that no longer run wrote of it is forgotten.
   */
  async end(nodes: readonly string[]): Promise<void> {
    if (nodes.length === 0) return
    await reading(() =>
      sql`
        with elsewhere as (
          select s.node from sidecar s join replica r on r.id = s.replica and ${runs}
          where s.node = any (${nodes}::text[]) and s.replica <> ${this.#replica} and s.ended_at is null
        ), gone as (
          delete from sidecar s where s.node = any (${nodes}::text[])
            and case when s.replica = ${this.#replica} then s.node in (select node from elsewhere)
              else not exists (select from replica r where r.id = s.replica and ${runs}) end
        )
        update sidecar set ended_at = clock_timestamp(), seen_at = clock_timestamp()
        where node = any (${nodes}::text[]) and replica = ${this.#replica} and ended_at is null
          and node not in (select node from elsewhere)
      `.execute(this.#database),
    )
  }

  /** Forgets what ended long ago, and what replicas that no longer run wrote long ago. */
  async forget(): Promise<void> {
    await reading(() =>
      sql`
        with silent as (
          delete from sidecar_coverage c where not exists (select from replica r
            where r.id = c.replica and r.seen_at > clock_timestamp() - ${rememberFor}::interval)
        )
        delete from sidecar s where s.seen_at < clock_timestamp() - ${rememberFor}::interval
          and (s.ended_at is not null or not exists (select from replica r
            where r.id = s.replica and r.seen_at > clock_timestamp() - ${rememberFor}::interval))
      `.execute(this.#database),
    )
  }

  /** What the other replicas wrote, so a sidecar may be there twice. */
  async others({ service }: { readonly service?: string } = {}): Promise<SidecarRow<S>[]> {
    const rows = await reading(() => {
      const all = this.#rows().where('sidecar.replica', '<>', this.#replica)
      return (
        service === undefined ? all : all.where(sql<string>`split_part(node, '/', 1)`, '=', service)
      ).execute()
    })
    return rows.map(row => this.#row(row))
  }

  /** What any replica wrote of one sidecar. */
  async of(node: string): Promise<SidecarRow<S>[]> {
    const rows = await reading(() => this.#rows().where('node', '=', node).execute())
    return rows.map(row => this.#row(row))
  }

  /** Both in one statement: a row that is not settled any more was written before what covers the others. */
  #rows() {
    return this.#database
      .selectFrom('sidecar')
      .leftJoin('sidecar_coverage as coverage', join =>
        join.onRef('coverage.replica', '=', 'sidecar.replica').onRef('coverage.run', '=', 'sidecar.run'),
      )
      .selectAll('sidecar')
      .select('coverage.revision as covered_to')
  }

  /** The status is what `save` wrote. */
  #row(row: {
    readonly node: string
    readonly replica: string
    readonly status: object
    readonly seen_at: Date
    readonly ended_at: Date | null
    readonly covered_to: string | null
  }): SidecarRow<S> {
    return {
      node: row.node,
      replica: row.replica,
      status: row.status as S,
      seenAt: row.seen_at.toISOString(),
      endedAt: row.ended_at?.toISOString() ?? null,
      coveredTo: row.ended_at === null && row.covered_to !== null ? Number(row.covered_to) : null,
    }
  }
}
