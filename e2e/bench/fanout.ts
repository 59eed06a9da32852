import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { controlPlaneEnv, controlPlaneFlags } from '@waymark/deploy/local/control-plane-node.ts'
import { machineTime } from '../harness/machine-time.ts'
import { BenchProcess } from './bench-process.ts'
import { progress, type BenchOptions } from './bench-options.ts'
import { topFunctions, type ProfileWindow } from './cpu-profile.ts'
import { Generator } from './generator/generator.ts'
import type { FanOutHandlers } from './servers/fan-out-server.ts'
import { figure, median, milliseconds } from './statistics.ts'
import { renderRows } from './table.ts'

const service = 'payments'
const endpoints = 100
const floor = 'raw grpc-js'

/** Server -> its program. The anchor needs Go, and modules from Go's proxy. */
const contendersFor = (anchor: boolean): ReadonlyMap<string, string> =>
  new Map([
    [floor, fileURLToPath(import.meta.resolve('./servers/raw-server-process.ts'))],
    ['xDS server', fileURLToPath(import.meta.resolve('./servers/xds-server-process.ts'))],
    ...(anchor
      ? [
          [
            'go-control-plane LinearCache',
            fileURLToPath(import.meta.resolve('./servers/go-server-process.ts')),
          ] as const,
        ]
      : []),
  ])

interface Measured {
  /** Microseconds of server CPU per delivered and ACKed update, a figure per round. */
  readonly cpu: number[]
  /** Milliseconds from a change to its first and last receipt. */
  readonly first: number[]
  readonly last: number[]
  /** KiB per stream: after connecting and after the rounds, both after a collection, and as it was before that. */
  connected: number
  loaded: number
  uncollected: number
}

interface Rounds {
  readonly rounds: number
  readonly changes: number
}

interface Contender {
  readonly name: string
  readonly server: BenchProcess<FanOutHandlers>
  readonly generator: Generator
  readonly measured: Measured
}

const profileName = (name: string): string => name.replaceAll(' ', '-')

/** Runs `work` with a server that has all its streams. */
const withContender = async (
  {
    name,
    program,
    streams,
    profileDir,
  }: { name: string; program: string; streams: number; profileDir: string | null },
  work: (contender: Contender) => Promise<void>,
): Promise<void> => {
  const profiling =
    profileDir === null ? [] : ['--cpu-prof', `--cpu-prof-dir=${join(profileDir, profileName(name))}`]
  const server = new BenchProcess<FanOutHandlers>({
    program,
    nodeOptions: [...controlPlaneFlags, '--expose-gc', ...profiling],
    env: controlPlaneEnv,
  })
  const measured: Measured = { cpu: [], first: [], last: [], connected: 0, loaded: 0, uncollected: 0 }
  const setup = {
    plan: { count: streams, upstreams: [service] },
    order: 'endpoints',
    watch: service,
  } as const
  try {
    const port = await server.ask('start', { service, endpoints })
    const atRest = await server.ask('memory', { collect: true })
    const perStream = async (collect: boolean): Promise<number> =>
      ((await server.ask('memory', { collect })).rss - atRest.rss) / 1_024 / streams
    await Generator.with(setup, async generator => {
      await generator.connect({ addresses: [{ host: '127.0.0.1', port }], atOnce: 200 })
      measured.connected = await perStream(true)
      await work({ name, server, generator, measured })
      measured.uncollected = await perStream(false)
      measured.loaded = await perStream(true)
    })
  } finally {
    await server.stop()
  }
}

const runRound = async (
  { server, generator, measured }: Contender,
  changes: number,
  counted: boolean,
): Promise<void> => {
  await generator.expect()
  const done = server.ask('round', { changes, streams: generator.sidecars })
  const receipts = []
  for (let turn = 0; turn < changes; turn += 1) receipts.push(await generator.next())
  const { at, cpuUs } = await done
  if (!counted) return
  measured.cpu.push(cpuUs / changes / generator.sidecars)
  for (const [turn, changedAt] of at.entries()) {
    const times = receipts[turn]?.at ?? []
    measured.first.push((times[0] ?? Number.NaN) - changedAt)
    measured.last.push((times.at(-1) ?? Number.NaN) - changedAt)
  }
}

/** All servers at once, changed in turn, so that they share the same minutes. */
const measure = async (
  contenders: ReadonlyMap<string, string>,
  streams: number,
  { rounds, changes }: Rounds,
  profileDir: string | null,
): Promise<ReadonlyMap<string, Measured>> => {
  const window: ProfileWindow = { from: 0, to: 0 }
  const all: Contender[] = []
  const withAll = async (left: readonly (readonly [string, string])[]): Promise<void> => {
    const [next, ...others] = left
    if (next !== undefined) {
      const [name, program] = next
      await withContender({ name, program, streams, profileDir }, async contender => {
        all.push(contender)
        await withAll(others)
      })
      return
    }
    for (let turn = 0; turn <= rounds; turn += 1) {
      if (turn === 1) window.from = machineTime()
      // The first round warms up.
      for (const contender of all) await runRound(contender, changes, turn > 0)
      progress(`${streams} streams: round ${turn} of ${rounds}`)
    }
    window.to = machineTime()
  }
  await withAll([...contenders])
  if (profileDir !== null)
    for (const name of contenders.keys())
      progress(
        `${name}: ${await topFunctions(join(profileDir, profileName(name)), window).catch(() => 'no profile')}`,
      )
  return new Map(all.map(({ name, measured }) => [name, measured]))
}

/**
 * One changed endpoint of 100 to N subscribers, our xDS server beside raw grpc-js that writes the same bytes, and with
 * WAYMARK_BENCH_ANCHOR=go beside go-control-plane.
 */
export const fanout = async ({ small, profile }: BenchOptions): Promise<string> => {
  const sizes = small ? [200, 1_000] : [1_000, 5_000, 10_000]
  const contenders = contendersFor(process.env['WAYMARK_BENCH_ANCHOR'] === 'go')
  const rows: string[][] = []
  for (const streams of sizes) {
    // So that a round is some 50,000 updates, whatever the size.
    const changes = Math.max(3, Math.round((small ? 5_000 : 50_000) / streams))
    const profileDir = profile ? await mkdtemp(join(tmpdir(), 'waymark-fanout-')) : null
    const results = await measure(contenders, streams, { rounds: small ? 3 : 7, changes }, profileDir)
    if (profileDir !== null) await rm(profileDir, { recursive: true })
    const floorCpu = median(results.get(floor)?.cpu ?? [])
    for (const [name, { cpu, first, last, connected, loaded, uncollected }] of results) {
      rows.push([
        figure(streams),
        name,
        `${figure(median(cpu))} us`,
        `${figure(Math.min(...cpu))} to ${figure(Math.max(...cpu))}`,
        `${(median(cpu) / floorCpu).toFixed(2)}x`,
        milliseconds(median(first)),
        milliseconds(median(last)),
        `${figure(connected)} / ${figure(loaded)} / ${figure(uncollected)}`,
      ])
    }
  }
  return renderRows(
    [
      'streams',
      'server',
      'CPU per update, median of rounds',
      'rounds',
      'to raw',
      'first receipt p50',
      'last receipt p50',
      'KiB per stream: connected / loaded / before a collection',
    ],
    rows,
  )
}
