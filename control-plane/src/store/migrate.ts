import { readdir, readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { clientConfig, type ConnectionOptions } from './database.ts'

/** Any constant; the same on every replica and in every version. */
const migrationLock = 7_400_000_001
const directory = fileURLToPath(new URL('../../../migrations/', import.meta.url))

/**
 * Applies the numbered files of migrations/ that this database has not seen, in order, each in a transaction of
 * its own, under an advisory lock: replicas may start together. Refuses a database that is newer than this
 * program. Returns the names of the applied files.
 */
export const migrate = async (options: ConnectionOptions): Promise<string[]> => {
  const files = (await readdir(directory)).filter(name => /^\d{4}_[a-z0-9_]+\.sql$/.test(name)).sort()
  // The lock may be held by another replica for as long as its migration takes.
  const client = new pg.Client({ ...clientConfig(options), statement_timeout: 0, query_timeout: 600_000 })
  await client.connect()
  try {
    await client.query('select pg_advisory_lock($1)', [migrationLock])
    await client.query(
      'create table if not exists migration (name text primary key, applied_at timestamptz not null default now())',
    )
    const rows = await client.query<{ name: string }>('select name from migration')
    const done = new Set(rows.rows.map(row => row.name))
    const unknown = [...done].filter(name => !files.includes(name))
    if (unknown.length > 0) {
      throw new Error(`the database has migrations that this version does not know: ${unknown.join(', ')}`)
    }
    const applied: string[] = []
    for (const name of files.filter(file => !done.has(file))) {
      await apply(client, name)
      applied.push(name)
    }
    return applied
  } finally {
    await client.end()
  }
}

const apply = async (client: pg.Client, name: string): Promise<void> => {
  const text = await readFile(`${directory}${name}`, 'utf8')
  try {
    await client.query('begin')
    await client.query(text)
    await client.query('insert into migration (name) values ($1)', [name])
    await client.query('commit')
  } catch (error) {
    await client.query('rollback')
    throw new Error(`migration ${name} failed`, { cause: error })
  }
}
