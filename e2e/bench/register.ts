import pg from 'pg'
import { progress, type BenchOptions } from './bench-options.ts'
import { HttpClient } from './http-client.ts'
import { postLines } from './post-lines.ts'
import { withRig, type Rig } from './rig.ts'
import { processCpuMs } from './server-figures.ts'
import { figure, median } from './statistics.ts'
import { renderRows } from './table.ts'

const clients = 64
const services = 1_000
/** Lines of one request, and requests at the same time. */
const batchLines = 10_000
const batches = 2

const address = (index: number): string => `10.${(index >> 16) & 255}.${(index >> 8) & 255}.${index & 255}`

const registration = (index: number) => ({
  address: address(index),
  port: 8080,
  version: 'v1',
  metadata: { team: 'core' },
  locality: { region: 'eu-1', zone: 'eu-1a' },
  // Nobody beats here: a lease that ends would have the sweeper in the figures.
  lease: { ttl: '1h' },
})

interface Rate {
  readonly perSecond: number
  /** User and system time of the control plane, of Postgres, and of the clients, for each (us). */
  readonly cpuUs: number
  readonly postgresUs: number
  readonly clientUs: number
}

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

const rate = async (rig: Rig, work: () => Promise<number>): Promise<Rate> => {
  const now = () => {
    const { user, system } = process.cpuUsage()
    return {
      ms: performance.now(),
      server: processCpuMs(rig.pid()),
      postgres: rig.postgresCpuMs(),
      client: (user + system) / 1_000,
    }
  }
  const before = now()
  const done = await work()
  const after = now()
  const each = (of: 'server' | 'postgres' | 'client'): number => ((after[of] - before[of]) * 1_000) / done
  return {
    perSecond: (done * 1_000) / (after.ms - before.ms),
    cpuUs: each('server'),
    postgresUs: each('postgres'),
    clientUs: each('client'),
  }
}

/** Registrations of new instances, each client waiting for its answer before its next one. */
const register = async (
  connections: readonly HttpClient[],
  offset: number,
  roundMs: number,
): Promise<number> => {
  const started = performance.now()
  let next = offset
  await Promise.all(
    connections.map(async connection => {
      while (performance.now() - started < roundMs) {
        const index = next++
        const path = `/api/v1/services/svc-${index % services}/instances/r-${index}`
        const status = await connection.send('PUT', path, JSON.stringify(registration(index)))
        if (status !== 201) throw new Error(`a registration was answered with ${status}`)
      }
    }),
  )
  return next - offset
}

/** Batches of new instances. */
const batchesFrom = (offset: number, perRequest: number): readonly (readonly string[])[] =>
  Array.from({ length: batches }, (_, request) =>
    Array.from({ length: perRequest }, (__, line) => {
      const index = offset + request * perRequest + line
      return JSON.stringify({ service: `svc-${index % services}`, id: `b-${index}`, ...registration(index) })
    }),
  )

/** Several at once; resolves with their lines. */
const bulk = async (url: string, requests: readonly (readonly string[])[]): Promise<number> => {
  const results = await Promise.all(requests.map(lines => postLines(`${url}/api/v1/instances:batch`, lines)))
  const created = results.reduce((sum, text) => sum + (text.match(/"status":201/g)?.length ?? 0), 0)
  const sent = requests.reduce((sum, lines) => sum + lines.length, 0)
  if (created !== sent) throw new Error(`of ${sent} lines only ${created} were registered`)
  return created
}

interface Measured {
  readonly raw: number
  readonly single: Rate
  readonly bulk: Rate
}

const measure = (instances: number, { small, profile }: BenchOptions): Promise<readonly Measured[]> =>
  withRig(
    {
      ...(instances === 0 ? {} : { load: { instances, services } }),
      ...(profile ? { profile: { window: { from: 0, to: Number.POSITIVE_INFINITY } } } : {}),
    },
    async rig => {
      const rounds = small ? 2 : 5
      const roundMs = small ? 1_000 : 2_000
      const perRequest = small ? 2_000 : batchLines
      const client = new pg.Client({ connectionString: rig.databaseUrl })
      await client.connect()
      await client.query('create table bench_raw (id bigserial primary key, payload jsonb not null)')
      const connections = await Promise.all(
        Array.from({ length: clients }, () => HttpClient.open(rig.restUrl)),
      )
      const results: Measured[] = []
      for (let round = 0; round <= rounds; round += 1) {
        progress(`${instances} instances, round ${round} of ${rounds}`)
        const offset = round * 1_000_000
        const requests = batchesFrom(offset, perRequest)
        const result = {
          raw: await raw(client, roundMs),
          single: await rate(rig, () => register(connections, offset, roundMs)),
          bulk: await rate(rig, () => bulk(rig.restUrl, requests)),
        }
        // The first one is the warm-up.
        if (round > 0) results.push(result)
      }
      for (const connection of connections) connection.close()
      await client.end()
      return results
    },
  )

/** Registrations per second, one a request and in batches, in turn with raw commits of the same Postgres. */
export const registrations = async (options: BenchOptions): Promise<string> => {
  const rows: string[][] = []
  for (const instances of [0, options.small ? 5_000 : 100_000]) {
    const results = await measure(instances, options)
    const row = (what: string, rates: readonly Rate[]): string[] => [
      figure(instances),
      what,
      figure(median(results.map(({ raw: commits }) => commits))),
      figure(median(rates.map(({ perSecond }) => perSecond))),
      `${median(rates.map(({ perSecond }, index) => perSecond / (results[index]?.raw ?? Number.NaN))).toFixed(2)}x`,
      ...(['cpuUs', 'postgresUs', 'clientUs'] as const).map(of =>
        figure(median(rates.map(each => each[of]))),
      ),
    ]
    rows.push(
      row(
        `one a request, ${clients} clients`,
        results.map(({ single }) => single),
      ),
      row(
        `in ${batches} batches at a time`,
        results.map(({ bulk: many }) => many),
      ),
    )
  }
  return renderRows(
    [
      'instances before',
      'registrations of new instances (medians)',
      'raw commits/s, 1 connection',
      'registrations/s',
      'ratio',
      'CPU us each',
      'Postgres us',
      'clients us',
    ],
    rows,
  )
}
