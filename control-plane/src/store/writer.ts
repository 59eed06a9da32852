import pg from 'pg'
import type { Revision } from '../domain/revision.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Logger } from '../runtime/logger.ts'
import { clientConfig, type ConnectionOptions } from './database.ts'

/**
 * Its statements look rows up by their keys, whatever the size of the tables. The planner, which sees tables grow
 * from empty, would scan them, and plan each statement anew.
 */
const plannerOptions = [
  '-c enable_seqscan=off',
  '-c enable_hashjoin=off',
  '-c enable_mergejoin=off',
  '-c plan_cache_mode=force_generic_plan',
  '-c jit=off',
].join(' ')

/**
 * A replica that is paused within its transaction holds the mesh's lock; Postgres ends the transaction after
 * this, well before the others' statements give up waiting for the lock.
 */
const idleTransactionMs = 4_000

/** How long to wait for a connection to close in order. */
const goodbyeMs = 1_000

/** Opens the connection. `onError` is told when it breaks, also between two statements. Rejects when there is no database. */
const open = async (
  connection: ConnectionOptions,
  {
    position,
    onError,
  }: {
    readonly position: LogPosition | null
    readonly onError: (error: Error, client: pg.Client) => void
  },
): Promise<{ readonly client: pg.Client; readonly backend: number | null; readonly continues: boolean }> => {
  const config = clientConfig(connection)
  const client = new pg.Client({
    ...config,
    options: `${config.options ?? ''} ${plannerOptions}`,
    idle_in_transaction_session_timeout: idleTransactionMs,
    // Statements go out without waiting for the answers to those before them.
    pipeline: true,
  })
  // It may break before anybody has it.
  client.on('error', error => {
    onError(error, client)
  })
  try {
    await client.connect()
    const { rows } = await client.query<{ backend: number; id: string | null }>(
      `select pg_backend_pid() as backend,
        (select id from change where revision = $1::bigint and position = 0) as id`,
      [position?.revision ?? 0],
    )
    const [row] = rows
    const continues = position !== null && row !== undefined && row.id === position.id
    return { client, backend: row?.backend ?? null, continues }
  } catch (error) {
    void client.end().catch(() => undefined)
    throw error
  }
}

/** A place in one of the histories that a log may have. */
export interface LogPosition {
  readonly revision: Revision
  /** The first change of the revision; null: of none, it is 0. */
  readonly id: string | null
}

/** Who applies what is committed here. */
export interface HistoryFollower {
  /** How far; null: not known. */
  readonly position: LogPosition | null
  /** What is committed over the connection that has just been opened continues what was applied. */
  trust(): void
}

interface WriterOptions {
  readonly connection: ConnectionOptions
  readonly clock: Pick<Clock, 'sleep'>
  readonly logger: Logger
  readonly history?: HistoryFollower
  /** Whatever was begun on the connection is gone, and so is what was known of the database. */
  readonly onClosed: () => void
}

/** The connection of the sequencer, opened when it is needed. */
export class Writer {
  readonly #options: WriterOptions
  #client: pg.Client | null = null
  #backend: number | null = null
  #connections = 0

  constructor(options: WriterOptions) {
    this.#options = options
  }

  /** The database backend that serves it; null while it has none. */
  get backend(): number | null {
    return this.#backend
  }

  /** How many it has opened. */
  get connections(): number {
    return this.#connections
  }

  /** Rejects when there is no database. */
  async connect(): Promise<pg.Client> {
    if (this.#client !== null) return this.#client
    const { connection, logger, onClosed, history } = this.#options
    const { client, backend, continues } = await open(connection, {
      position: history?.position ?? null,
      onError: (error, broken) => {
        logger.warn({ error: error.message }, 'the sequencer lost its connection')
        if (this.#client !== broken) return
        this.#client = null
        onClosed()
      },
    })
    this.#connections += 1
    this.#backend = backend
    this.#client = client
    if (continues) history?.trust()
    return client
  }

  async rollback(client: pg.Client): Promise<void> {
    try {
      await client.query('rollback')
    } catch {
      await this.disconnect()
    }
  }

  async disconnect(): Promise<void> {
    const client = this.#client
    this.#client = null
    this.#backend = null
    this.#options.onClosed()
    if (client === null) return
    // A connection that is broken cannot say goodbye, and a server that is paused does not answer one.
    const closed = client.end().catch(() => undefined)
    await Promise.race([closed, this.#options.clock.sleep(goodbyeMs)])
  }
}
