import { sql } from 'kysely'
import type { Database } from './database.ts'

interface RoleHolder {
  readonly owner: string
  readonly fence: number
}

interface ReportedHolder extends RoleHolder {
  /** What the owner said when it last renewed; null: nothing yet. */
  readonly report: object | null
}

/**
 * Roles: work that has one owner at a time among the replicas. A role is held until a moment in Postgres time;
 * its fence grows by one whenever it changes hands, and never shrinks, so that fenced work of a former owner
 * can be told and refused (Write.fence). Rejects with what the database says.
 */
export class RoleTable {
  readonly #database: Database

  constructor(database: Database) {
    this.#database = database
  }

  /** The new fence, or null while another owner (or an earlier hold of this one) has not expired. */
  async acquire({
    name,
    owner,
    ttlMs,
  }: {
    readonly name: string
    readonly owner: string
    readonly ttlMs: number
  }): Promise<number | null> {
    const { rows } = await sql<{ fence: string }>`
      insert into role (name, owner, fence, expires_at)
      values (${name}, ${owner}, 1, clock_timestamp() + ${ttlMs}::integer * interval '1 ms')
      on conflict (name) do update
        set owner = excluded.owner, fence = role.fence + 1, expires_at = excluded.expires_at, report = null
        where role.expires_at <= clock_timestamp()
      returning fence`.execute(this.#database)
    const row = rows[0]
    return row === undefined ? null : Number(row.fence)
  }

  /** False: somebody else has the role. A hold that has expired but was not taken over goes on. */
  async renew({
    name,
    owner,
    fence,
    ttlMs,
    report = null,
  }: RoleHolder & {
    readonly name: string
    readonly ttlMs: number
    readonly report?: object | null
  }): Promise<boolean> {
    const { numUpdatedRows } = await this.#database
      .updateTable('role')
      .set({
        expires_at: sql<Date>`clock_timestamp() + ${ttlMs}::integer * interval '1 ms'`,
        report: report === null ? null : JSON.stringify(report),
      })
      .where('name', '=', name)
      .where('owner', '=', owner)
      .where('fence', '=', String(fence))
      .executeTakeFirst()
    return numUpdatedRows > 0n
  }

  /** Lets the next owner in at once. The row stays: it carries the fence. */
  async release({ name, owner, fence }: RoleHolder & { readonly name: string }): Promise<void> {
    await this.#database
      .updateTable('role')
      .set({ expires_at: sql<Date>`clock_timestamp()` })
      .where('name', '=', name)
      .where('owner', '=', owner)
      .where('fence', '=', String(fence))
      .execute()
  }

  /** Who has the role now; undefined: nobody. */
  async holder(name: string): Promise<ReportedHolder | undefined> {
    const row = await this.#database
      .selectFrom('role')
      .select(['owner', 'fence', 'report'])
      .where('name', '=', name)
      .where('expires_at', '>', sql<Date>`clock_timestamp()`)
      .executeTakeFirst()
    if (row === undefined) return undefined
    return { owner: row.owner, fence: Number(row.fence), report: row.report }
  }
}
