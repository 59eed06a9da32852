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
}

/** What each sidecar has, shared by the replicas. Unlogged: after a crash every replica writes its own again. */
export class SidecarTable<S extends object> {
  readonly #database: Database
  readonly #replica: string

  constructor(options: { readonly database: Database; readonly replica: string }) {
    this.#database = options.database
    this.#replica = options.replica
  }

  /** Writes the statuses of this replica's sidecars in one statement. */
  async save(entries: readonly { readonly node: string; readonly status: S }[]): Promise<void> {
    if (entries.length === 0) return
    await reading(() =>
      sql`
        insert into sidecar (node, replica, status, seen_at)
        select node, ${this.#replica}, status, clock_timestamp()
        from jsonb_to_recordset(${JSON.stringify(entries)}::jsonb) x (node text, status jsonb)
        on conflict (node, replica) do update
          set status = excluded.status, seen_at = excluded.seen_at
      `.execute(this.#database),
    )
  }

  /** Forgets sidecars that have left, unless another replica that runs serves them by now. */
  async remove(nodes: readonly string[]): Promise<void> {
    if (nodes.length === 0) return
    await reading(() =>
      sql`
        delete from sidecar s where s.node = any (${nodes}::text[])
          and (s.replica = ${this.#replica} or not exists (select from replica r
            where r.id = s.replica and r.seen_at > clock_timestamp() - interval '5 s'))
      `.execute(this.#database),
    )
  }

  /** Forgets what replicas that no longer run wrote. */
  async removeOrphans(): Promise<void> {
    await reading(() =>
      sql`
        delete from sidecar s where s.seen_at < clock_timestamp() - interval '1 minute'
          and not exists (select from replica r
            where r.id = s.replica and r.seen_at > clock_timestamp() - interval '1 minute')
      `.execute(this.#database),
    )
  }

  /** What every replica wrote, so a sidecar may be there twice; in order of their nodes. */
  async list(): Promise<SidecarRow<S>[]> {
    const rows = await reading(() =>
      this.#database.selectFrom('sidecar').selectAll().orderBy('node').execute(),
    )
    // The status is what `save` wrote.
    return rows.map(row => ({
      node: row.node,
      replica: row.replica,
      status: row.status as S,
      seenAt: row.seen_at.toISOString(),
    }))
  }
}
