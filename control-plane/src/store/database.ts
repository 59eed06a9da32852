import { Kysely, PostgresDialect, type Transaction as KyselyTransaction } from 'kysely'
import pg from 'pg'
import type { Logger } from '../runtime/logger.ts'
import type { Tables } from './tables.ts'

/** Reads and single statements. What needs a transaction says so by asking for a Transaction. */
export type Database = Kysely<Tables>
export type Transaction = KyselyTransaction<Tables>

export interface ConnectionOptions {
  /** `postgres://user:password@host:port/database` */
  readonly url: string
  /** Seen in pg_stat_activity. */
  readonly applicationName: string
}

/** How long one statement may take on the server, and how long we wait for an answer at all. */
const statementTimeoutMs = 10_000
const answerTimeoutMs = 12_000
const connectTimeoutMs = 3_000

/** Settings of every connection: UTC, bounded statements, a silent server noticed. */
export const clientConfig = ({ url, applicationName }: ConnectionOptions): pg.ClientConfig => ({
  connectionString: url,
  application_name: applicationName,
  connectionTimeoutMillis: connectTimeoutMs,
  statement_timeout: statementTimeoutMs,
  query_timeout: answerTimeoutMs,
  idle_in_transaction_session_timeout: statementTimeoutMs,
  keepAlive: true,
  options: '-c timezone=UTC',
})

export interface OpenDatabaseOptions extends ConnectionOptions {
  /** The greatest number of connections of this pool. */
  readonly connections: number
  readonly logger: Logger
}

/** Opens no connection until the first query. Close it with `destroy()`. */
export const openDatabase = (options: OpenDatabaseOptions): Database => {
  const pool = new pg.Pool({ ...clientConfig(options), max: options.connections, idleTimeoutMillis: 30_000 })
  // An idle connection that breaks is replaced by the pool; without a listener it would end the process.
  pool.on('error', error => {
    options.logger.warn({ error: error.message }, 'an idle database connection broke')
  })
  // The pool listens to idle clients only. One that is in use reports a broken connection twice: by its query, which
  // rejects, and by an event, which without a listener would end the process.
  pool.on('connect', client => {
    client.on('error', error => {
      options.logger.debug({ error: error.message }, 'a database connection broke')
    })
  })
  return new Kysely<Tables>({ dialect: new PostgresDialect({ pool }) })
}
