import pg from 'pg'
import type { BenchOptions } from './bench-options.ts'
import { HttpClient } from './http-client.ts'
import { withRig } from './rig.ts'
import { figure, median } from './statistics.ts'
import { renderRows } from './table.ts'

const clients = 64

const registration = (index: number): string =>
  JSON.stringify({
    address: `10.${(index >> 16) & 255}.${(index >> 8) & 255}.${index & 255}`,
    port: 8080,
    version: 'v1',
    metadata: { team: 'core' },
    locality: { region: 'eu-1', zone: 'eu-1a' },
  })

/** Commits of one row of 500 bytes on one connection, one after the other. */
const raw = async (client: pg.Client, roundMs: number): Promise<number> => {
  const payload = JSON.stringify({ text: 'x'.repeat(488) })
  const started = performance.now()
  let commits = 0
  for (; performance.now() - started < roundMs; commits += 1)
    await client.query({
      name: 'raw',
      text: 'insert into bench_raw (payload) values ($1::jsonb)',
      values: [payload],
    })
  return commits / ((performance.now() - started) / 1_000)
}

/** Registrations of new instances, each client waiting for its answer before its next one. */
const register = async (
  connections: readonly HttpClient[],
  offset: number,
  roundMs: number,
): Promise<number> => {
  const started = performance.now()
  let next = offset
  let done = 0
  await Promise.all(
    connections.map(async connection => {
      while (performance.now() - started < roundMs) {
        const index = next++
        const path = `/api/v1/services/svc-${index % 50}/instances/i-${index}`
        const status = await connection.send('PUT', path, registration(index))
        if (status !== 201) throw new Error(`a registration was answered with ${status}`)
        done += 1
      }
    }),
  )
  return done / ((performance.now() - started) / 1_000)
}

/** Registrations per second, in turn with raw commits of the same Postgres. */
export const registrations = ({ small }: BenchOptions): Promise<string> =>
  withRig({}, async ({ mesh, databaseUrl }) => {
    const rounds = small ? 2 : 5
    const roundMs = small ? 1_000 : 4_000
    const client = new pg.Client({ connectionString: databaseUrl })
    await client.connect()
    await client.query('create table bench_raw (id bigserial primary key, payload jsonb not null)')
    const connections = await Promise.all(
      Array.from({ length: clients }, () => HttpClient.open(mesh.api.url)),
    )
    const rows: string[][] = []
    const results: { raw: number; waymark: number }[] = []
    for (let round = 0; round <= rounds; round += 1) {
      const result = {
        raw: await raw(client, roundMs),
        waymark: await register(connections, round * 1_000_000, roundMs),
      }
      const name = round === 0 ? 'warm-up' : `round ${round}`
      rows.push([
        name,
        figure(result.raw),
        figure(result.waymark),
        `${(result.waymark / result.raw).toFixed(2)}x`,
      ])
      if (round > 0) results.push(result)
    }
    for (const connection of connections) connection.close()
    const { rows: synced } = await client.query<{ fsync: string }>('show fsync')
    await client.end()
    const ratio = median(results.map(({ raw: commits, waymark }) => waymark / commits))
    rows.push([
      'median',
      figure(median(results.map(({ raw: commits }) => commits))),
      figure(median(results.map(({ waymark }) => waymark))),
      `${ratio.toFixed(2)}x`,
    ])
    return renderRows(
      [
        `per second (fsync ${synced[0]?.fsync ?? '?'})`,
        'raw commits, 1 connection',
        `registrations, ${clients} clients`,
        'ratio',
      ],
      rows,
    )
  })
