import pg from 'pg'
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
/**
 * The connection of the sequencer. `onError` is told when it breaks, also between two statements. Rejects when there
 * is no database.
 */
export const openWriter = async (
  connection: ConnectionOptions,
  onError: (error: Error, client: pg.Client) => void,
): Promise<{ readonly client: pg.Client; readonly backend: number | null }> => {
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
    const { rows } = await client.query<{ backend: number }>('select pg_backend_pid() as backend')
    return { client, backend: rows[0]?.backend ?? null }
  } catch (error) {
    void client.end().catch(() => undefined)
    throw error
  }
}
