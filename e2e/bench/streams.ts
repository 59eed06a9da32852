import { setTimeout as delay } from 'node:timers/promises'
import { machineTime } from '../harness/machine-time.ts'
import { progress, type BenchOptions } from './bench-options.ts'
import { Generator } from './generator/generator.ts'
import { HttpClient } from './http-client.ts'
import { withRig } from './rig.ts'
import { checkOpenFiles } from './server-figures.ts'
import { figure, median, milliseconds } from './statistics.ts'
import { renderRows } from './table.ts'

const services = 1_000
const upstreams = ['payments']

/** How many streams, over how many replicas. */
interface Load {
  readonly streams: number
  readonly replicas: number
  /** Each sidecar reports its load, too: a second stream on its connection. */
  readonly reports?: boolean
}

const measure = async (
  { streams, replicas, reports = false }: Load,
  { quietMs, changes }: { readonly quietMs: number; readonly changes: number },
): Promise<string[]> => {
  checkOpenFiles(Math.ceil(streams / replicas))
  return withRig({ replicas, load: { services, instances: 3 * services } }, async rig => {
    // A connection each: the server closes one that is idle for as long as all is quiet here.
    const register = async (port: number): Promise<void> => {
      const body = JSON.stringify({ address: '10.0.0.1', port, lease: null })
      const client = await HttpClient.open(rig.restUrl)
      const status = await client.send('PUT', '/api/v1/services/payments/instances/payments-1', body)
      client.close()
      if (status >= 300) throw new Error(`a registration was answered with ${status}`)
    }
    await register(1_000)
    await delay(quietMs / 4)
    const emptyBytes = rig.residentBytes()
    const emptyCpu = rig.cpuMs()
    await delay(quietMs)
    const emptyCores = (rig.cpuMs() - emptyCpu) / quietMs
    const setup = { plan: { count: streams, upstreams }, order: 'envoy', watch: 'payments', reports } as const
    return Generator.with(setup, async generator => {
      const connecting = machineTime()
      const times = await generator.connect({ addresses: rig.addresses, atOnce: 400, timeoutMs: 600_000 })
      const connected = ((times.at(-1) ?? connecting) - connecting) / 1_000
      progress(`${streams} streams at ${replicas} replicas after ${figure(connected)} s`)
      await delay(quietMs / 2)
      const cpuBefore = rig.cpuMs()
      await delay(quietMs)
      const quietCores = (rig.cpuMs() - cpuBefore) / quietMs
      const lasts: number[] = []
      for (let change = 1; change <= changes; change += 1) {
        await generator.expect()
        await register(1_000 + change)
        const answered = machineTime()
        lasts.push(((await generator.next()).at.at(-1) ?? Number.NaN) - answered)
      }
      const bytes = rig.residentBytes()
      const { ends } = await generator.counts()
      return [
        `${figure(streams)} at ${replicas}${reports ? ', each with load reports' : ''}`,
        `${figure(connected)} s`,
        `${figure(emptyBytes / 1e6)} MB`,
        `${figure(bytes / 1e6)} MB`,
        `${figure((bytes - emptyBytes) / 1_024 / streams)} KiB`,
        emptyCores.toFixed(3),
        quietCores.toFixed(3),
        milliseconds(median(lasts)),
        JSON.stringify(ends),
      ]
    })
  })
}

/** Mostly quiet streams, held by all replicas together: memory and CPU, at two sizes, and with load reports. */
export const streams = async ({ small }: BenchOptions): Promise<string> => {
  const loads: readonly Load[] = small
    ? [
        { streams: 100, replicas: 2 },
        { streams: 400, replicas: 2 },
        { streams: 400, replicas: 2, reports: true },
      ]
    : [
        { streams: 4_000, replicas: 4 },
        { streams: 40_000, replicas: 4 },
        { streams: 40_000, replicas: 4, reports: true },
      ]
  const rows: string[][] = []
  for (const load of loads)
    rows.push(await measure(load, small ? { quietMs: 1_000, changes: 2 } : { quietMs: 40_000, changes: 5 }))
  return renderRows(
    [
      'streams at replicas',
      'all connected after',
      'RSS of all replicas, no stream',
      'with all, after changes',
      'per stream',
      'cores, no stream',
      'cores, all quiet',
      'a change to the last of all, p50',
      'streams that ended',
    ],
    rows,
  )
}
