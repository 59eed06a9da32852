import { mkdtemp, open, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { SinkView } from '@waymark/control-plane/rest/schemas/sink.ts'
import { freePorts } from '@waymark/deploy/local/ports.ts'
import pg from 'pg'
import { findKafka, findNats } from '../brokers/find-brokers.ts'
import { KafkaBroker } from '../brokers/kafka-broker.ts'
import { NatsServer } from '../brokers/nats-server.ts'
import { machineTime } from '../harness/machine-time.ts'
import { progress, type BenchOptions } from './bench-options.ts'
import { EventLag, type Arrivals } from './outbox/event-lag.ts'
import { SteadyChanges } from './outbox/steady-changes.ts'
import { withRig, type Rig } from './rig.ts'
import { figure, milliseconds } from './statistics.ts'
import { renderRows } from './table.ts'

const pageRows = 2_000
const steadyPerSecond = 1_000

interface Target {
  readonly name: string
  /** The spec of the sink. */
  readonly spec: object
  /** Hears of events as a consumer does, from now on. */
  readonly listen: () => Promise<EventLag>
}

/** What reading the log and writing it to a disk takes at least: one connection, one file, fsync for each page. */
const raw = async (databaseUrl: string, path: string): Promise<{ events: number; seconds: number }> => {
  const client = new pg.Client({ connectionString: databaseUrl })
  await client.connect()
  const file = await open(path, 'a')
  const started = performance.now()
  let events = 0
  for (let after = 0; ;) {
    const { rows } = await client.query<{ revision: string; payload: string }>({
      name: 'raw',
      text: 'select revision, payload::text as payload from change where revision > $1 order by revision, position limit $2',
      values: [after, pageRows],
    })
    if (rows.length === 0) break
    await file.appendFile(rows.map(({ payload }) => `${payload}\n`).join(''))
    await file.sync()
    events += rows.length
    after = Number(rows.at(-1)?.revision)
  }
  const seconds = (performance.now() - started) / 1_000
  await file.close()
  await client.end()
  return { events, seconds }
}

const inDatabase = async <Row extends object>(
  { databaseUrl }: Rig,
  text: string,
  values: readonly unknown[] = [],
): Promise<Row[]> => {
  const client = new pg.Client({ connectionString: databaseUrl })
  await client.connect()
  const { rows } = await client.query<Row>(text, [...values])
  await client.end()
  return rows
}

const headOf = async (rig: Rig): Promise<number> => {
  const [row] = await inDatabase<{ revision: string }>(rig, 'select revision from mesh_revision')
  return Number(row?.revision)
}

/**
 * Until the sink has everything that is in the log now. Its own `lag` is no answer: it is of a head that is up to a
 * second old, and a sink that keeps up is always beyond that.
 */
const drained = async (rig: Rig, name: string): Promise<number> => {
  const head = await headOf(rig)
  for (;;) {
    const { revision, error } = await rig.mesh.api.get<SinkView>(`/sinks/${name}`)
    if (revision >= head) return head
    if (error !== null) progress(`${name}: ${error}`)
    await delay(20)
  }
}

/** The ids of what was logged after a revision, up to another. */
const loggedIds = async (rig: Rig, after: number, upTo: number): Promise<ReadonlySet<string>> => {
  const text = 'select id from change where revision > $1 and revision <= $2'
  return new Set((await inDatabase<{ id: string }>(rig, text, [after, upTo])).map(({ id }) => id))
}

/**
 * Until loading the mesh has no more consequences: else the sink that happens to be the first one waits for the disk
 * with autovacuum and the checkpoint, and pays for the compilation of what the others find compiled.
 */
const settle = async (rig: Rig, changes: SteadyChanges, ms: number): Promise<void> => {
  for (const text of ['vacuum (analyze)', 'checkpoint']) await inDatabase(rig, text)
  await changes.run(ms)
}

/** The log has `waiting` changes that the sink has not been given. */
const catchUp = async (
  rig: Rig,
  { name, spec }: Target,
): Promise<{ seconds: number; cpuMs: number; events: number }> => {
  const { api } = rig.mesh
  const { revision } = await api.status()
  const cpu = rig.cpuMs()
  const started = performance.now()
  await api.apply('EventSink', name, spec)
  await drained(rig, name)
  const seconds = (performance.now() - started) / 1_000
  return { seconds, cpuMs: rig.cpuMs() - cpu, events: revision }
}

/** From the commit of a change to its arrival, at a steady rate. */
const steady = async (
  rig: Rig,
  target: Target,
  changes: SteadyChanges,
  ms: number,
): Promise<{ lag: EventLag; arrivals: Arrivals; cpuMs: number; sent: number }> => {
  await changes.run(ms / 4)
  const before = await drained(rig, target.name)
  const lag = await target.listen()
  const cpu = rig.cpuMs()
  const sent = await changes.run(ms)
  const after = await drained(rig, target.name)
  const cpuMs = rig.cpuMs() - cpu
  const arrivals = await lag.stop(await loggedIds(rig, before, after))
  return { lag, arrivals, cpuMs, sent }
}

const targetsOf = async (rig: Rig, directory: string): Promise<Target[]> => {
  const { supervisor } = rig.mesh
  const file = join(directory, 'events.ndjson')
  const output = join(rig.mesh.directory, 'logs', `${rig.mesh.replica(0).process.name}.log`)
  const targets: Target[] = [
    {
      name: 'file',
      spec: { type: 'file', file: { name: 'events.ndjson' } },
      listen: async () => EventLag.ofFile(file, (await stat(file)).size),
    },
    {
      // Who starts the replica reads a pipe, and writes each line to its log.
      name: 'stdout',
      spec: { type: 'stdout' },
      listen: async () => {
        // What is still in the pipe is older.
        await delay(500)
        return EventLag.ofFile(output, (await stat(output)).size)
      },
    },
  ]
  const [kafka, nats] = [await findKafka(), await findNats()]
  if (kafka.missing === null) {
    const [plain = 0, secured = 0, controller = 0] = await freePorts(3)
    const ports = [plain, secured, controller] as const
    const options = { files: kafka.broker, supervisor, directory: join(directory, 'kafka'), ports }
    const { address } = await KafkaBroker.start(options)
    targets.push({
      name: 'kafka',
      spec: { type: 'kafka', kafka: { brokers: [address], createTopics: true } },
      listen: () => EventLag.ofKafka(address, ['waymark.changes.instance']),
    })
  } else progress(`no Kafka: ${kafka.missing}`)
  if (nats.missing === null) {
    const [port = 0] = await freePorts(1)
    const options = { files: nats.broker, supervisor, directory: join(directory, 'nats'), port }
    const { address } = await NatsServer.start(options)
    targets.push({
      name: 'nats',
      spec: { type: 'nats', nats: { servers: [address], createStream: 'WAYMARK' } },
      listen: () => EventLag.ofNats(address, 'waymark.changes.>'),
    })
  } else progress(`no NATS: ${nats.missing}`)
  return targets
}

/** Events per second from a log that waits, and the lag of a steady load, for each kind of local sink. */
export const outbox = async ({ small, profile }: BenchOptions): Promise<string> => {
  const waiting = small ? 10_000 : 100_000
  const steadyMs = small ? 2_000 : 20_000
  const directory = await mkdtemp(join(tmpdir(), 'waymark-outbox-'))
  const load = { services: 100, instances: waiting }
  const env = { WAYMARK_SINK_FILES_DIR: directory }
  // Of the profile: from the beginning of the first sink to the end of the last.
  const window = { from: 0, to: 0 }
  try {
    return await withRig({ load, env, ...(profile ? { profile: { window } } : {}) }, async rig => {
      const rows: string[][] = []
      const floor = await raw(rig.databaseUrl, join(directory, 'raw.ndjson'))
      const floorRate = floor.events / floor.seconds
      rows.push(['raw: pages of the log to a file', figure(floorRate), ...Array<string>(7).fill('')])
      const targets = await targetsOf(rig, directory)
      const changes = new SteadyChanges({ url: rig.restUrl, perSecond: steadyPerSecond })
      await settle(rig, changes, steadyMs)
      window.from = machineTime()
      for (const target of targets) {
        const caught = await catchUp(rig, target)
        const rate = caught.events / caught.seconds
        progress(`${target.name}: ${figure(rate)} events/s`)
        const { lag, arrivals, cpuMs, sent } = await steady(rig, target, changes, steadyMs)
        rows.push([
          target.name,
          figure(rate),
          `${(rate / floorRate).toFixed(2)}x`,
          `${figure((caught.cpuMs * 1_000) / caught.events)} us`,
          milliseconds(lag.percentile(0.5)),
          milliseconds(lag.percentile(0.99)),
          `${arrivals.arrived} of ${arrivals.logged}`,
          `${arrivals.repeated}`,
          `${figure((cpuMs * 1_000) / sent)} us`,
        ])
        if (arrivals.others > 0) progress(`${target.name}: ${arrivals.others} events of another time`)
        // The next one is measured alone.
        await rig.mesh.api.ok('DELETE', `/documents/EventSink/${target.name}`)
      }
      window.to = machineTime()
      return renderRows(
        [
          'sink',
          `events/s, ${waiting} waiting`,
          'to raw',
          'CPU per event',
          `lag at ${steadyPerSecond}/s, p50`,
          'p99',
          'arrived',
          'twice',
          'CPU per change with its write',
        ],
        rows,
      )
    })
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}
