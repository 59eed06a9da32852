import { fileURLToPath } from 'node:url'
import { controlPlaneEnv, controlPlaneFlags } from '@waymark/deploy/local/control-plane-node.ts'
import { BenchProcess } from './bench-process.ts'
import { progress, type BenchOptions } from './bench-options.ts'
import { Generator } from './generator/generator.ts'
import type { ScatterHandlers } from './servers/fan-out-server.ts'
import { figure, median } from './statistics.ts'
import { renderRows } from './table.ts'

const program = fileURLToPath(import.meta.resolve('./servers/raw-server-process.ts'))
const service = 'payments'
/** As in `scale`: endpoints of a service, subscribers of a change, time between two changes. */
const endpoints = 34
const receivers = 40
const everyMs = 10

interface Contender {
  readonly streams: number
  readonly server: BenchProcess<ScatterHandlers>
  readonly cpu: number[]
}

const withStreams = async (streams: number, work: (contender: Contender) => Promise<void>): Promise<void> => {
  const server = new BenchProcess<ScatterHandlers>({
    program,
    nodeOptions: [...controlPlaneFlags, '--expose-gc'],
    env: controlPlaneEnv,
  })
  try {
    const port = await server.ask('start', { service, endpoints })
    const setup = {
      plan: { count: streams, upstreams: [service] },
      order: 'endpoints',
      watch: service,
    } as const
    await Generator.with(setup, async generator => {
      await generator.connect({ addresses: [{ host: '127.0.0.1', port }], atOnce: 200 })
      await work({ streams, server, cpu: [] })
    })
  } finally {
    await server.stop()
  }
}

/**
 * What the transport alone makes of a larger mesh: raw grpc-js that writes to 40 streams of N, at the pace of `scale`. A
 * write costs the same work whatever N is; what it costs more is what `scale` cannot cost less.
 */
export const growth = async ({ small }: BenchOptions): Promise<string> => {
  const [few = 0, many = 0] = small ? [50, 500] : [100, 10_000]
  const rounds = small ? 3 : 7
  const changes = small ? 100 : 1_000
  const contenders: Contender[] = []
  const rows: string[][] = []
  await withStreams(few, async first => {
    await withStreams(many, async second => {
      contenders.push(first, second)
      for (let turn = 0; turn <= rounds; turn += 1) {
        for (const { server, cpu } of contenders) {
          const { cpuUs } = await server.ask('scatter', { changes, receivers, everyMs })
          // The first round warms up.
          if (turn > 0) cpu.push(cpuUs / changes / receivers)
        }
        progress(`round ${turn} of ${rounds}`)
      }
    })
  })
  const least = median(contenders[0]?.cpu ?? [])
  for (const { streams, cpu } of contenders)
    rows.push([
      figure(streams),
      `${figure(median(cpu))} us`,
      `${figure(Math.min(...cpu))} to ${figure(Math.max(...cpu))}`,
      `${(median(cpu) / least).toFixed(2)}x`,
    ])
  return renderRows(
    ['streams', 'raw grpc-js: CPU per update to one of 40 streams', 'rounds', 'to the fewest'],
    rows,
  )
}
