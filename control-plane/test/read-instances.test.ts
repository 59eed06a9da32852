import { sql } from 'kysely'
import pg from 'pg'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { clientConfig } from '../src/store/database.ts'
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
  const client = new pg.Client(clientConfig(database.connection))
  await client.connect()
  await client.query('start transaction isolation level repeatable read, read only')
  await client.query('select 1 from mesh_revision')
  // Every row gets a new place, in blocks that the snapshot has not seen.
  await register(2)
  const read = await readInstances(client, { pageBlocks: 1 })
  await client.end()
  const byId = (instances: typeof read) => new Map(instances.map(instance => [instance.id, instance]))
  expect(read).toHaveLength(ids.length)
  expect(byId(read)).toEqual(byId([...before]))
  const { rows } = await sql<{ blocks: number }>`
    select (pg_relation_size('instance') / current_setting('block_size')::bigint)::int as blocks
  `.execute(database.database)
  expect(rows[0]?.blocks).toBeGreaterThan(2)
})

it('gives instances of a service one copy of what they have in common, and each what is its own', async () => {
  const specs = [
    instanceSpec({ port: 1, metadata: { team: 'a', address: '", "port": 7' } }),
    instanceSpec({ port: 2, metadata: { team: 'a', address: '", "port": 7' } }),
    instanceSpec({ port: 3, metadata: { team: 'b' }, address: 'fd00::3' }),
    instanceSpec({ port: 4, metadata: { team: 'b' }, lease: { ttlMs: 5_000, deregisterAfterMs: null } }),
  ]
  for (const [index, spec] of specs.entries())
    await replica.registry.register({ service: 'alike', id: `i-${index}`, spec }, context)
  const { instances } = await replica.log.readSnapshot()
  const read = instances.filter(({ service }) => service === 'alike').map(({ spec }) => spec)
  read.sort((a, b) => a.port - b.port)
  expect(read).toEqual(specs)
  expect(read[0]?.metadata).toBe(read[1]?.metadata)
})
