import pg from 'pg'
import type { MeshSnapshot } from '../domain/snapshot.ts'
import { clientConfig, type ConnectionOptions } from './database.ts'
import { readInstances } from './read-instances.ts'
import { toDocument, type DocumentRow } from './rows.ts'

export interface LoggedSnapshot extends MeshSnapshot {
  /** See ChangePage. */
  readonly anchor: string | null
}

/** Everything at one revision, read on a connection of its own. Rejects as pg does. */
export const readSnapshot = async (connection: ConnectionOptions): Promise<LoggedSnapshot> => {
  const client = new pg.Client(clientConfig(connection))
  // A broken connection is told by the query as well; without a listener the event would end the process.
  client.on('error', () => undefined)
  await client.connect()
  try {
    await client.query('start transaction isolation level repeatable read, read only')
    const { rows } = await client.query<{ revision: string; anchor: string | null }>(
      `select revision, (select id from change c where c.revision = r.revision and position = 0) as anchor
       from mesh_revision r`,
    )
    const instances = await readInstances(client)
    const documents = await client.query<DocumentRow>(
      'select kind, name, spec, revision from document order by kind, name',
    )
    await client.query('commit')
    return {
      revision: Number(rows[0]?.revision),
      anchor: rows[0]?.anchor ?? null,
      instances,
      documents: documents.rows.map(toDocument),
    }
  } finally {
    await client.end().catch(() => undefined)
  }
}
