import pg from 'pg'
import type { TestDatabase } from './database.ts'

/** Holds up whoever reads or writes the log, as a paused Postgres would: connections stand, no answer comes. */
export const pauseLog = async ({ connection }: TestDatabase): Promise<{ resume(): Promise<void> }> => {
  const client = new pg.Client({ connectionString: connection.url })
  await client.connect()
  await client.query('begin; lock table mesh_revision in access exclusive mode')
  return { resume: () => client.end() }
}
