import pg from 'pg'
import { progress, type BenchOptions } from './bench-options.ts'
import { BenchProcess } from './bench-process.ts'
import { HttpClient } from './http-client.ts'
import { postLines } from './post-lines.ts'
import { withRig, type Rig } from './rig.ts'
import { processCpuMs } from './server-figures.ts'
import type { BareFastifyHandlers } from './servers/bare-fastify-process.ts'
import { figure, median } from './statistics.ts'
import { renderRows } from './table.ts'
import { instanceAt } from './workload.ts'

const clients = 64
const services = 500
const ttl = '15s'
/** Beats of one request of an agent, and agents. */
const agentBeats = 1_000
const agents = 8
/** What was taken last is in the database after so long. */
const flushedMs = 2_500

interface Result {
  readonly perSecond: number
  /** User and system time of the server (us). */
  readonly cpuUs: number
  /** Bytes of WAL of the whole database, with what else runs (replicas, roles). */
  readonly walBytes: number
}

const registerLeased = async (rig: Rig, instances: number): Promise<void> => {
  const atOnce = 5_000
  for (let from = 0; from < instances; from += atOnce) {
    const lines = Array.from({ length: Math.min(atOnce, instances - from) }, (_, offset) => {
      const { service, id, address } = instanceAt(from + offset, { services })
      return JSON.stringify({ service, id, address, port: 80, lease: { ttl, deregisterAfter: null } })
    })
    const results = await postLines(`${rig.restUrl}/api/v1/instances:batch`, lines)
    if (results.includes('"problem"')) throw new Error(`a registration was refused: ${results.slice(0, 500)}`)
  }
}

const walPosition = async (client: pg.Client): Promise<number> => {
  const { rows } = await client.query<{ position: string }>(
    `select (pg_current_wal_insert_lsn() - '0/0')::text as position`,
  )
  return Number(rows[0]?.position)
}

/** Each connection sends what `next` gives it, waiting for its answer, until the time is over. Resolves with beats. */
const send = async (
  connections: readonly HttpClient[],
  ms: number,
  next: () => { readonly path: string; readonly body: string; readonly beats: number },
): Promise<number> => {
  const started = performance.now()
  let done = 0
  await Promise.all(
    connections.map(async connection => {
      while (performance.now() - started < ms) {
        const { path, body, beats } = next()
        const status = await connection.send('PUT', path, body)
        const refused = status === 200 && !connection.lastBody.includes('"refused":[]')
        if (refused || status > 204)
          throw new Error(`${status}: ${connection.lastBody.toString('utf8', 0, 500)}`)
        done += beats
      }
    }),
  )
  return done
}

const open = (count: number, url: string): Promise<HttpClient[]> =>
  Promise.all(
    Array.from({ length: count }, async () => {
      const connection = await HttpClient.open(url)
      // One that has never asked anything is closed before its turn comes.
      await connection.send('GET', '/', '')
      return connection
    }),
  )

/** Beats of leased instances: one a request, many a request, and what a bare fastify takes of the former. */
export const heartbeats = ({ small, profile }: BenchOptions): Promise<string> =>
  withRig(profile ? { profile: { window: { from: 0, to: Number.POSITIVE_INFINITY } } } : {}, async rig => {
    const instances = small ? 5_000 : 50_000
    const rounds = small ? 2 : 5
    const ms = small ? 1_000 : 3_000
    await registerLeased(rig, instances)
    const database = new pg.Client({ connectionString: rig.databaseUrl })
    await database.connect()
    const bare = new BenchProcess<BareFastifyHandlers>({
      program: new URL('servers/bare-fastify-process.ts', import.meta.url).pathname,
    })
    let turn = 0
    const single = () => {
      const { service, id } = instanceAt((turn += 1) % instances, { services })
      return { path: `/api/v1/services/${service}/instances/${id}/heartbeat`, body: '', beats: 1 }
    }
    const bodies = Array.from({ length: Math.ceil(instances / agentBeats) }, (_, agent) =>
      JSON.stringify({
        beats: Array.from({ length: agentBeats }, (__, index) => {
          const { service, id } = instanceAt((agent * agentBeats + index) % instances, { services })
          return { service, id }
        }),
      }),
    )
    const many = () => ({
      path: '/api/v1/heartbeats',
      body: bodies[(turn += 1) % bodies.length] ?? '',
      beats: agentBeats,
    })
    const bareUrl = await bare.ask('take', { path: '/api/v1/services/:service/instances/:id/heartbeat' })
    const measure = async (
      pid: number,
      connections: readonly HttpClient[],
      next: () => { readonly path: string; readonly body: string; readonly beats: number },
    ): Promise<Result> => {
      const [wal, cpu, started] = [await walPosition(database), processCpuMs(pid), performance.now()]
      const beats = await send(connections, ms, next)
      const seconds = (performance.now() - started) / 1_000
      // The server writes them once a second: its time, too.
      await new Promise(resolve => setTimeout(resolve, flushedMs))
      return {
        perSecond: beats / seconds,
        cpuUs: ((processCpuMs(pid) - cpu) * 1_000) / beats,
        walBytes: ((await walPosition(database)) - wal) / beats,
      }
    }
    const connections = {
      bare: await open(clients, bareUrl),
      single: await open(clients, rig.restUrl),
      many: await open(agents, rig.restUrl),
    }
    const results: { bare: Result; single: Result; many: Result }[] = []
    try {
      for (let round = 0; round <= rounds; round += 1) {
        progress(`round ${round} of ${rounds}`)
        const result = {
          bare: await measure(bare.pid, connections.bare, single),
          single: await measure(rig.pid(), connections.single, single),
          many: await measure(rig.pid(), connections.many, many),
        }
        // The first one is the warm-up.
        if (round > 0) results.push(result)
      }
      const { rows: unhealthy } = await database.query<{ count: string }>(
        `select count(*) from instance where verdict <> 'healthy'`,
      )
      if (Number(unhealthy[0]?.count) > 0)
        progress(`${unhealthy[0]?.count ?? '?'} instances have expired: beats did not come round in time`)
    } finally {
      for (const connection of Object.values(connections).flat()) connection.close()
      await Promise.all([bare.stop(), database.end()])
    }
    const row = (what: string, of: (result: (typeof results)[number]) => Result): string[] => [
      what,
      figure(median(results.map(result => of(result).perSecond))),
      `${median(results.map(result => of(result).perSecond / result.bare.perSecond)).toFixed(2)}x`,
      figure(median(results.map(result => of(result).cpuUs))),
      figure(median(results.map(result => of(result).walBytes))),
    ]
    return renderRows(
      [`${figure(instances)} instances, TTL ${ttl}`, 'beats/s', 'to bare', 'CPU us each', 'WAL bytes each'],
      [
        row(`bare fastify, ${clients} clients`, ({ bare: result }) => ({ ...result, walBytes: 0 })),
        row(`one a request, ${clients} clients`, ({ single: result }) => result),
        row(`${agentBeats} a request, ${agents} clients`, ({ many: result }) => result),
      ],
    )
  })
