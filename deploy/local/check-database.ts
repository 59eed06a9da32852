import pg from 'pg'
import { UserError } from './user-error.ts'

/** The server's version. Rejects with a `UserError` that shows where it looked, never the password. */
export const checkDatabase = async (connectionString: string): Promise<string> => {
  if (!/^postgres(ql)?:\/\//.test(connectionString) || !URL.canParse(connectionString))
    throw new UserError('DATABASE_URL is not the URL of a Postgres.', [
      'It looks like postgres://user:password@host:5432/database. Unset it to use an embedded Postgres.',
    ])
  const { host, pathname } = new URL(connectionString)
  try {
    const client = new pg.Client({ connectionString, connectionTimeoutMillis: 10_000 })
    client.on('error', () => undefined)
    await client.connect()
    try {
      const { rows } = await client.query<{ server_version: string }>('show server_version')
      return rows[0]?.server_version ?? 'of unknown version'
    } finally {
      await client.end()
    }
  } catch (error) {
    const reason = error instanceof Error ? error.message : 'no reason'
    throw new UserError(`The Postgres of DATABASE_URL (${host}${pathname}) cannot be used: ${reason}`, [
      'Start it or correct DATABASE_URL; unset it to use an embedded Postgres.',
    ])
  }
}
