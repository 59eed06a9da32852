import { sql } from 'kysely'
import type { ChangeSet } from '../domain/change.ts'
import { CompactedError, type Revision } from '../domain/revision.ts'
import { changeChannel } from './batch-sql.ts'
import type { ConnectionOptions, Database } from './database.ts'
import { listen } from './listen.ts'
import { readSnapshot, type LoggedSnapshot } from './read-snapshot.ts'
import { toChangeSets, type ChangeRow } from './rows.ts'
import { reading } from './unavailable.ts'

type MaybeChangeRow = { readonly [column in keyof ChangeRow]: ChangeRow[column] | null }

/** The left join gives one row of nulls when there is no change. */
const isChangeRow = <Row extends MaybeChangeRow>(row: Row): row is Row & ChangeRow => row.id !== null

export interface ChangePage {
  /** Whole revisions, in order, without a gap, beginning right after the one asked for. */
  readonly sets: readonly ChangeSet[]
  /** The newest revision at the moment of reading. */
  readonly head: Revision
  /** The first change of the revision asked for, by its id: tells histories apart. null: the log does not have it. */
  readonly anchor: string | null
}

/** Reads the revision log. Rejects with `database_unavailable`. */
export class ChangeLog {
  readonly #database: Database
  readonly #connection: ConnectionOptions

  constructor(options: { readonly database: Database; readonly connection: ConnectionOptions }) {
    this.#database = options.database
    this.#connection = options.connection
  }

  /** At most `limit` revisions after `after`. Rejects with CompactedError when retention has removed the next one. */
  async readChanges({
    after,
    limit,
  }: {
    readonly after: Revision
    readonly limit: number
  }): Promise<ChangePage> {
    return reading(async () => {
      // One statement, so that head and rows are of one snapshot.
      const rows = await this.#database
        .selectFrom('mesh_revision as r')
        .leftJoin('change as c', join =>
          join.on('c.revision', '>', String(after)).on('c.revision', '<=', String(after + limit)),
        )
        .selectAll('c')
        .select(query => [
          'r.revision as head',
          query
            .selectFrom('change')
            .select('id')
            .where('revision', '=', String(after))
            .where('position', '=', 0)
            .as('anchor'),
        ])
        .orderBy('c.revision')
        .orderBy('c.position')
        .execute()
      const head = Number(rows[0]?.head ?? 0)
      const sets = toChangeSets(rows.filter(isChangeRow))
      if (head > after && sets[0]?.revision !== after + 1) {
        throw new CompactedError(after + 1, await this.#oldest())
      }
      return { sets, head, anchor: rows[0]?.anchor ?? null }
    })
  }

  /** Everything at one revision. */
  async readSnapshot(): Promise<LoggedSnapshot> {
    return reading(() => readSnapshot(this.#connection))
  }

  /**
   * Calls `onHint` whenever somebody has committed changes (with the backend that did, null once when listening
   * begins), until the signal aborts or the connection breaks. Resolves then; rejects when no connection could
   * be made. Only a hint: notifications may be lost.
   */
  async listen(onHint: (backend: number | null) => void, signal: AbortSignal): Promise<void> {
    await listen({
      connection: this.#connection,
      channels: [changeChannel],
      onListening: () => {
        onHint(null)
      },
      onNotification: ({ backend }) => {
        onHint(backend)
      },
      signal,
    })
  }

  async #oldest(): Promise<Revision> {
    const { oldest } = await this.#database
      .selectFrom('change')
      .select(sql<string | null>`min(revision)`.as('oldest'))
      .executeTakeFirstOrThrow()
    return Number(oldest ?? 0)
  }
}
