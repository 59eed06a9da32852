import pg from 'pg'
import { machineTime } from '../harness/machine-time.ts'
import { progress, type BenchOptions } from './bench-options.ts'
import { Generator } from './generator/generator.ts'
import { HttpClient } from './http-client.ts'
import { withImport } from './import-beside.ts'
import { withRig } from './rig.ts'
import { figure, median, milliseconds, percentile } from './statistics.ts'
import { renderRows } from './table.ts'

interface Rounds {
  readonly rounds: number
  readonly warmUp: number
}

interface Round {
  /** Milliseconds: of the request, and from the answer (first number) or the request (second) to a receipt. */
  readonly answer: number
  readonly first: readonly [number, number]
  readonly last: readonly [number, number]
  /** Of every stream, from the answer. */
  readonly all: readonly number[]
}

interface Setting {
  readonly streams: number
  /** Thousands of instances of another service are registered in bulk meanwhile. */
  readonly beside: boolean
}

interface Measured {
  readonly rounds: readonly Round[]
  readonly notify: readonly number[]
  /** Instances that were imported beside it, each second; null: no import. */
  readonly imported: number | null
}

/** One registration after the other, each a change of the one endpoint that all streams have. */
const measure = ({ streams, beside }: Setting, { rounds, warmUp }: Rounds): Promise<Measured> =>
  withRig({}, async rig => {
    const path = '/api/v1/services/payments/instances/payments-1'
    const body = (weight: number): string =>
      JSON.stringify({ address: '10.0.0.1', port: 8080, lease: null, weight })
    const client = await HttpClient.open(rig.restUrl)
    await client.send('PUT', path, body(1))
    const plan = { count: streams, upstreams: ['payments'] }
    const setup = { plan, order: 'envoy', watch: 'payments' } as const
    const changes = async (generator: Generator): Promise<readonly Round[]> => {
      const all: Round[] = []
      for (let round = 0; round < warmUp + rounds; round += 1) {
        const sent = machineTime()
        const status = await client.send('PUT', path, body(2 + (round % 900)))
        const answered = machineTime()
        if (status !== 200) throw new Error(`a registration was answered with ${status}`)
        const { at } = await generator.next()
        const [first = Number.NaN, last = Number.NaN] = [at[0], at.at(-1)]
        if (round < warmUp) continue
        all.push({
          answer: answered - sent,
          first: [first - answered, first - sent],
          last: [last - answered, last - sent],
          all: at.map(time => time - answered),
        })
      }
      return all
    }
    const { result, perSecond } = await Generator.with(setup, async generator => {
      await generator.connect({ addresses: rig.addresses, atOnce: 200 })
      await generator.expect()
      if (beside) return withImport(rig.restUrl, () => changes(generator))
      return { result: await changes(generator), perSecond: null }
    })
    client.close()
    const notify = await measureNotify(rig.databaseUrl, { rounds, warmUp })
    return { rounds: result, notify, imported: perSecond }
  })

/** What Postgres alone takes from the request of an insert with NOTIFY to its arrival at one listener. */
const measureNotify = async (databaseUrl: string, { rounds, warmUp }: Rounds): Promise<readonly number[]> => {
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

/** REST to the endpoint at simulated sidecars, with 1, 100 and 1,000 streams, and with 100 beside an import. */
export const propagate = async ({ small }: BenchOptions): Promise<string> => {
  const rows: string[][] = []
  const turns = small ? { rounds: 30, warmUp: 10 } : { rounds: 300, warmUp: 50 }
  const settings: readonly Setting[] = [
    ...(small ? [1, 100] : [1, 100, 1_000]).map(streams => ({ streams, beside: false })),
    { streams: 100, beside: true },
  ]
  for (const setting of settings) {
    const { streams, beside } = setting
    progress(`${streams} streams${beside ? ' beside an import' : ''}`)
    const { rounds: measured, notify, imported } = await measure(setting, turns)
    const row = (what: string, values: readonly number[], base: number): string[] => [
      imported === null ? figure(streams) : `${figure(streams)}, beside ${figure(imported)} imported/s`,
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
    ['streams', `from ... to (${turns.rounds} changes)`, 'p50', 'p99', 'p50 to Postgres alone'],
    rows,
  )
}
