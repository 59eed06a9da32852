import { sql } from 'kysely'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { readInstances } from '../src/store/read-instances.ts'
import { createTestDatabase, type TestDatabase } from './support/database.ts'
import { eventually } from './support/eventually.ts'
import { startReplica, type TestReplica } from './support/replica.ts'
import { context, instanceSpec } from './support/specs.ts'

let database: TestDatabase
let replica: TestReplica

beforeAll(async () => {
  database = await createTestDatabase()
  replica = startReplica(database)
})

afterAll(async () => {
  await replica.stop()
  await database.destroy()
})

it('reads each instance once, as it was when the snapshot was taken, while all of them move', async () => {
  const ids = Array.from({ length: 300 }, (_, index) => `i-${index}`)
  const register = (port: number) =>
    Promise.all(
      ids.map(id =>
        replica.registry.register({ service: 'paged', id, spec: instanceSpec({ port }) }, context),
      ),
    )
  await register(1)
  await eventually(() => {
    expect(replica.mesh.service('paged')?.instances.size).toBe(ids.length)
  })
  const { instances: before } = replica.mesh.snapshot()
  const read = await database.database
    .transaction()
    .setIsolationLevel('repeatable read')
    .setAccessMode('read only')
    .execute(async transaction => {
      await sql`select 1 from mesh_revision`.execute(transaction)
      // Every row gets a new place, in blocks that the snapshot has not seen.
      await register(2)
      return readInstances(transaction, { pageBlocks: 1 })
    })
  const byId = (instances: typeof read) => new Map(instances.map(instance => [instance.id, instance]))
  expect(read).toHaveLength(ids.length)
  expect(byId(read)).toEqual(byId([...before]))
  const { rows } = await sql<{ blocks: number }>`
    select (pg_relation_size('instance') / current_setting('block_size')::bigint)::int as blocks
  `.execute(database.database)
  expect(rows[0]?.blocks).toBeGreaterThan(2)
})
