import { sql } from 'kysely'
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
}

/** How long a sidecar that has left, or whose replica has, is remembered. */
const rememberFor = '10 minutes'

/** A replica `r` that runs. */
const runs = sql`r.seen_at > clock_timestamp() - interval '5 s'`

/** What each sidecar has, shared by the replicas. Unlogged: after a crash every replica writes its own again. */
export class SidecarTable<S extends object> {
  readonly #database: Database
  readonly #replica: string

  constructor(options: { readonly database: Database; readonly replica: string }) {
    this.#database = options.database
    this.#replica = options.replica
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
        insert into sidecar (node, replica, status, seen_at)
        select node, ${this.#replica}, status, clock_timestamp() from connected
        on conflict (node, replica) do update
          set status = excluded.status, seen_at = excluded.seen_at, ended_at = null
      `.execute(this.#database),
    )
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
        delete from sidecar s where s.seen_at < clock_timestamp() - ${rememberFor}::interval
          and (s.ended_at is not null or not exists (select from replica r
            where r.id = s.replica and r.seen_at > clock_timestamp() - ${rememberFor}::interval))
      `.execute(this.#database),
    )
  }

  /** What the other replicas wrote, so a sidecar may be there twice. */
  async others({ service }: { readonly service?: string } = {}): Promise<SidecarRow<S>[]> {
    const rows = await reading(() => {
      const all = this.#database.selectFrom('sidecar').selectAll().where('replica', '<>', this.#replica)
      return (
        service === undefined ? all : all.where(sql<string>`split_part(node, '/', 1)`, '=', service)
      ).execute()
    })
    return rows.map(row => this.#row(row))
  }

  /** What any replica wrote of one sidecar. */
  async of(node: string): Promise<SidecarRow<S>[]> {
    const rows = await reading(() =>
      this.#database.selectFrom('sidecar').selectAll().where('node', '=', node).execute(),
    )
    return rows.map(row => this.#row(row))
  }

  /** The status is what `save` wrote. */
  #row(row: {
    readonly node: string
    readonly replica: string
    readonly status: object
    readonly seen_at: Date
    readonly ended_at: Date | null
  }): SidecarRow<S> {
    return {
      node: row.node,
      replica: row.replica,
      status: row.status as S,
      seenAt: row.seen_at.toISOString(),
      endedAt: row.ended_at?.toISOString() ?? null,
    }
  }
}
