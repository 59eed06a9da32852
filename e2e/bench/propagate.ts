import pg from 'pg'
import { machineTime } from '../harness/machine-time.ts'
import { HttpClient } from './http-client.ts'
import { withRig } from './rig.ts'
import { median, milliseconds, percentile } from './statistics.ts'
import { withStreams } from './streams.ts'
import { renderRows } from './table.ts'

const rounds = 300
const warmUp = 50

interface Round {
  /** Milliseconds: of the request, and from the answer (first number) or the request (second) to a receipt. */
  readonly answer: number
  readonly first: readonly [number, number]
  readonly last: readonly [number, number]
  /** Of every stream, from the answer. */
  readonly all: readonly number[]
}

/** One registration after the other, each a change of the one endpoint that all streams have. */
const measure = (streams: number): Promise<{ rounds: readonly Round[]; notify: readonly number[] }> =>
  withRig({}, async ({ mesh, databaseUrl }) => {
    const { host, port } = mesh.replica(0).process.xds
    const path = '/api/v1/services/payments/instances/payments-1'
    const body = (weight: number): string =>
      JSON.stringify({ address: '10.0.0.1', port: 8080, lease: null, weight })
    const client = await HttpClient.open(mesh.api.url)
    await client.send('PUT', path, body(1))
    const config = { address: `${host}:${port}`, streams, upstreams: ['payments'], watch: 'payments' }
    const measured = await withStreams(config, async ({ next }) => {
      const all: Round[] = []
      for (let round = 0; round < warmUp + rounds; round += 1) {
        const sent = machineTime()
        const status = await client.send('PUT', path, body(2 + (round % 900)))
        const answered = machineTime()
        if (status !== 200) throw new Error(`a registration was answered with ${status}`)
        const { at } = await next()
        const [first, last] = [Math.min(...at), Math.max(...at)]
        if (round < warmUp) continue
        all.push({
          answer: answered - sent,
          first: [first - answered, first - sent],
          last: [last - answered, last - sent],
          all: at.map(time => time - answered),
        })
      }
      return all
    })
    client.close()
    return { rounds: measured, notify: await measureNotify(databaseUrl) }
  })

/** What Postgres alone takes from the request of an insert with NOTIFY to its arrival at one listener. */
const measureNotify = async (databaseUrl: string): Promise<readonly number[]> => {
  const [writer, reader] = [0, 1].map(() => new pg.Client({ connectionString: databaseUrl }))
  if (writer === undefined || reader === undefined) throw new Error('there are two clients')
  await Promise.all([writer.connect(), reader.connect()])
  await writer.query('create table bench_notify (payload text)')
  await reader.query('listen bench')
  const times: number[] = []
  for (let round = 0; round < warmUp + rounds; round += 1) {
    const arrived = new Promise<number>(resolve => {
      reader.once('notification', () => {
        resolve(machineTime())
      })
    })
    const sent = machineTime()
    await writer.query(`begin; insert into bench_notify values ('${'x'.repeat(400)}'); notify bench; commit`)
    const took = (await arrived) - sent
    if (round >= warmUp) times.push(took)
  }
  await Promise.all([writer.end(), reader.end()])
  return times
}

/** REST to the endpoint at simulated sidecars, with 1 and with 100 streams. */
export const propagate = async (): Promise<string> => {
  const rows: string[][] = []
  for (const streams of [1, 100]) {
    const { rounds: measured, notify } = await measure(streams)
    const row = (what: string, values: readonly number[], base: number): string[] => [
      String(streams),
      what,
      milliseconds(median(values)),
      milliseconds(percentile(values, 0.99)),
      `${(median(values) / base).toFixed(2)}x`,
    ]
    const base = median(notify)
    rows.push(
      row('Postgres alone: insert + NOTIFY to one listener', notify, base),
      row(
        'REST request to its answer',
        measured.map(({ answer }) => answer),
        base,
      ),
      row(
        'request to first receipt',
        measured.map(({ first }) => first[1]),
        base,
      ),
      row(
        'request to last receipt',
        measured.map(({ last }) => last[1]),
        base,
      ),
      row(
        'answer to first receipt',
        measured.map(({ first }) => first[0]),
        base,
      ),
      row(
        'answer to any receipt',
        measured.flatMap(({ all }) => all),
        base,
      ),
      row(
        'answer to last receipt',
        measured.map(({ last }) => last[0]),
        base,
      ),
    )
  }
  return renderRows(
    ['streams', `from ... to (${rounds} changes)`, 'p50', 'p99', 'p50 to Postgres alone'],
    rows,
  )
}
