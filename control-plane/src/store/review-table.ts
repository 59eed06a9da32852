import type { Database } from './database.ts'
import { sql } from 'kysely'

/** Which instances have to be looked at again though nobody says anything new. By Postgres's clock. */
export class ReviewTable {
  readonly #database: Database

  constructor(database: Database) {
    this.#database = database
  }

  /** At most `limit`, longest overdue first. */
  async due(limit: number): Promise<{ readonly service: string; readonly id: string }[]> {
    return this.#database
      .selectFrom('instance')
      .select(['service', 'id'])
      .where('review_at', '<=', sql<Date>`clock_timestamp()`)
      .orderBy('review_at')
      .limit(limit)
      .execute()
  }
}
