import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { inject } from 'vitest'
import { openDatabase, type ConnectionOptions, type Database } from '../../src/store/database.ts'
import { silentLogger } from '../../src/runtime/logger.ts'
import { eventually } from './eventually.ts'

declare module 'vitest' {
  export interface ProvidedContext {
    /** A migrated database that tests copy; from the global set-up. */
    readonly postgresTemplate: string
  }
}

/** A database of one's own with the schema in it, on the real Postgres of the test run. */
export interface TestDatabase {
  readonly connection: ConnectionOptions
  readonly database: Database
  /** Drops it. Fails when somebody has left a connection open. */
  destroy(): Promise<void>
}

const administer = async <T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> => {
  const administration = new URL(url)
  administration.pathname = '/postgres'
  const client = new pg.Client({ connectionString: administration.href })
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}

/** A closed connection is listed for a moment longer: look again before calling it a leak. */
const noConnections = async (client: pg.Client, name: string): Promise<void> => {
  await eventually(async () => {
    const { rows } = await client.query<{ application_name: string; query: string }>(
      'select application_name, query from pg_stat_activity where datname = $1',
      [name],
    )
    if (rows.length > 0) throw new Error(`connections left open: ${JSON.stringify(rows)}`)
  })
}

export const createTestDatabase = async (): Promise<TestDatabase> => {
  const template = inject('postgresTemplate')
  const name = `test_${randomBytes(6).toString('hex')}`
  const url = new URL(template)
  const templateName = url.pathname.slice(1)
  await administer(template, client => client.query(`create database ${name} template ${templateName}`))
  url.pathname = `/${name}`
  const connection = { url: url.href, applicationName: 'test' }
  const database = openDatabase({ ...connection, connections: 4, logger: silentLogger })
  return {
    connection,
    database,
    destroy: async () => {
      await database.destroy()
      await administer(template, async client => {
        await noConnections(client, name)
        await client.query(`drop database ${name} with (force)`)
      })
    },
  }
}
