import pg from 'pg'
import { expect, it } from 'vitest'
import { eventually } from '../harness/eventually.ts'
import { startOwnPostgres } from '../harness/own-postgres.ts'
import { startTestMesh } from '../harness/story.ts'

const ttlMs = 3_000
const ids = ['a', 'b', 'c', 'd', 'silent']

it('Postgres crashes and loses all leases: nobody expires before a whole TTL has passed, then who is silent', async () => {
  const postgres = await startOwnPostgres()
  const ask = async <Row extends pg.QueryResultRow>(sql: string): Promise<Row> => {
    const client = new pg.Client({ connectionString: postgres.url })
    await client.connect()
    try {
      const [row] = (await client.query<Row>(sql)).rows
      if (row === undefined) throw new Error('no row')
      return row
    } finally {
      await client.end()
    }
  }
  const mesh = await startTestMesh({ databaseUrl: postgres.url, replicas: 1 })
  const health = async (): Promise<string | undefined> =>
    (await mesh.api.status()).modes.find(({ capability }) => capability === 'health')?.mode
  for (const id of ids) {
    const lease = { ttl: `${ttlMs}ms`, deregisterAfter: null }
    await mesh.api.register('payments', id, { address: '127.0.0.1', port: 9, lease })
    mesh.heartbeats.add('payments', id)
  }
  await eventually('leases to be watched', async () => (await health()) === 'target')
  const { revision } = await mesh.api.status()

  mesh.heartbeats.remove('payments', 'silent')
  await postgres.kill()
  await postgres.start()
  const { started, lost } = await ask<{ started: Date; lost: boolean }>(
    `select pg_postmaster_start_time() as started,
      (select coalesce(min(seen_at) > pg_postmaster_start_time(), true) from lease) as lost`,
  )
  expect(lost, 'rows from before the crash are there').toBe(true)

  await eventually('the silent one to expire', async () => {
    const { verdict } = await mesh.api.instance('payments', 'silent')
    return verdict === 'unhealthy'
  })
  await eventually('leases to be watched again', async () => (await health()) === 'target')
  const log = await mesh.api.changes(revision)
  const changes = log.flatMap(set => set.changes)
  expect(changes.map(({ type, aggregateId }) => `${type} ${aggregateId}`)).toEqual([
    'instance.health payments/silent',
  ])
  const expired = Date.parse(changes[0]?.occurredAt ?? '')
  expect(expired - started.getTime()).toBeGreaterThanOrEqual(ttlMs)
})
