import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
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
const programs = {
  'raw grpc-js': fileURLToPath(import.meta.resolve('./servers/raw-server-process.ts')),
  'xDS server': fileURLToPath(import.meta.resolve('./servers/xds-server-process.ts')),
}
type Contender = keyof typeof programs
const contenders = Object.keys(programs) as readonly Contender[]

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

/** Both servers at once, changed in turn, so that they share the same minutes. */
const measure = async (
  streams: number,
  { rounds, changes }: { readonly rounds: number; readonly changes: number },
  profileDir: string | null,
): Promise<Record<Contender, Measured>> => {
  const blank = (): Measured => ({ cpu: [], first: [], last: [], connected: 0, loaded: 0, uncollected: 0 })
  const results: Record<Contender, Measured> = { 'raw grpc-js': blank(), 'xDS server': blank() }
  const plan = { count: streams, upstreams: [service] }
  const setup = { plan, order: 'endpoints', watch: service } as const

  const withServer = async (
    name: Contender,
    work: (server: BenchProcess<FanOutHandlers>, generator: Generator) => Promise<void>,
  ): Promise<void> => {
    const profiling =
      profileDir === null ? [] : ['--cpu-prof', `--cpu-prof-dir=${join(profileDir, name.replace(' ', '-'))}`]
    const server = new BenchProcess<FanOutHandlers>({
      program: programs[name],
      nodeOptions: ['--expose-gc', ...profiling],
    })
    try {
      const port = await server.ask('start', { service, endpoints })
      const atRest = await server.ask('memory', { collect: true })
      const perStream = async (collect: boolean): Promise<number> =>
        ((await server.ask('memory', { collect })).rss - atRest.rss) / 1_024 / streams
      await Generator.with(setup, async generator => {
        await generator.connect({ addresses: [{ host: '127.0.0.1', port }], atOnce: 200 })
        results[name].connected = await perStream(true)
        await work(server, generator)
        results[name].uncollected = await perStream(false)
        results[name].loaded = await perStream(true)
      })
    } finally {
      await server.stop()
    }
  }

  const round = async (
    name: Contender,
    server: BenchProcess<FanOutHandlers>,
    generator: Generator,
    counted: boolean,
  ): Promise<void> => {
    await generator.expect()
    const done = server.ask('round', { changes, streams })
    const receipts = []
    for (let turn = 0; turn < changes; turn += 1) receipts.push(await generator.next())
    const { at, cpuUs } = await done
    if (!counted) return
    results[name].cpu.push(cpuUs / changes / streams)
    for (const [turn, changedAt] of at.entries()) {
      const times = receipts[turn]?.at ?? []
      results[name].first.push((times[0] ?? Number.NaN) - changedAt)
      results[name].last.push((times.at(-1) ?? Number.NaN) - changedAt)
    }
  }

  const window: ProfileWindow = { from: 0, to: 0 }
  await withServer('raw grpc-js', async (raw, rawGenerator) => {
    await withServer('xDS server', async (ours, ourGenerator) => {
      for (let turn = 0; turn <= rounds; turn += 1) {
        if (turn === 1) window.from = machineTime()
        // The first round warms up.
        await round('raw grpc-js', raw, rawGenerator, turn > 0)
        await round('xDS server', ours, ourGenerator, turn > 0)
        progress(`${streams} streams: round ${turn} of ${rounds}`)
      }
      window.to = machineTime()
    })
  })
  if (profileDir !== null)
    for (const name of contenders)
      progress(`${name}: ${await topFunctions(join(profileDir, name.replace(' ', '-')), window)}`)
  return results
}

/** One changed endpoint of 100 to N subscribers, our xDS server beside raw grpc-js that writes the same bytes. */
export const fanout = async ({ small, profile }: BenchOptions): Promise<string> => {
  const sizes = small ? [200, 1_000] : [1_000, 5_000, 10_000]
  const rows: string[][] = []
  for (const streams of sizes) {
    // So that a round is some 50,000 updates, whatever the size.
    const changes = Math.max(3, Math.round((small ? 5_000 : 50_000) / streams))
    const profileDir = profile ? await mkdtemp(join(tmpdir(), 'waymark-fanout-')) : null
    const results = await measure(streams, { rounds: small ? 3 : 7, changes }, profileDir)
    if (profileDir !== null) await rm(profileDir, { recursive: true })
    const floor = median(results['raw grpc-js'].cpu)
    for (const name of contenders) {
      const { cpu, first, last, connected, loaded, uncollected } = results[name]
      rows.push([
        figure(streams),
        name,
        `${figure(median(cpu))} us`,
        `${figure(Math.min(...cpu))} to ${figure(Math.max(...cpu))}`,
        `${(median(cpu) / floor).toFixed(2)}x`,
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
