import { setTimeout as delay } from 'node:timers/promises'
import { machineTime } from '../harness/machine-time.ts'
import { progress, type BenchOptions } from './bench-options.ts'
import { BenchProcess } from './bench-process.ts'
import type { ProfileWindow } from './cpu-profile.ts'
import type { WatchLoadHandlers } from './generator/watch-load-process.ts'
import { HttpClient } from './http-client.ts'
import { withRig } from './rig.ts'
import { checkOpenFiles, processCpuMs } from './server-figures.ts'
import { figure, median, milliseconds, percentile } from './statistics.ts'
import { renderRows } from './table.ts'

const instances = 10
const program = new URL('generator/watch-load-process.ts', import.meta.url).pathname
/** How long all of them may take to hear of a change. */
const patienceMs = 30_000

const registration = (index: number, port: number): string =>
  JSON.stringify({ address: `10.0.0.${index}`, port, version: 'v1', lease: null })

interface Round {
  readonly watched: readonly number[]
  readonly queried: readonly number[]
  readonly cpuMs: number
}

/** From the answer to a write to its arrival at each of many watchers and blocking queries of one service. */
export const watch = async ({ small, profile }: BenchOptions): Promise<string> => {
  const each = small ? 100 : 1_000
  const rounds = small ? 5 : 20
  checkOpenFiles(2 * each)
  const window: ProfileWindow = { from: 0, to: Number.POSITIVE_INFINITY }
  return withRig(profile ? { profile: { window } } : {}, async rig => {
    const url = rig.restUrl
    const writer = await HttpClient.open(url)
    const write = async (index: number, port: number): Promise<number> => {
      const path = `/api/v1/services/payments/instances/i-${index}`
      const status = await writer.send('PUT', path, registration(index, port))
      if (status !== 200 && status !== 201) throw new Error(`a registration was answered with ${status}`)
      return Number(/\r\nx-waymark-revision: *(\d+)/i.exec(writer.lastHead)?.[1])
    }
    let index = 0
    for (let n = 0; n < instances; n += 1) index = await write(n, 8080)
    const load = new BenchProcess<WatchLoadHandlers>({ program })
    try {
      await load.ask('open', {
        url,
        watchPath: '/api/v1/watch?services=payments',
        watchers: each,
        queryPath: '/api/v1/services/payments/instances?wait=30s',
        queries: each,
        index,
      })
      progress(`${each} watchers and ${each} blocking queries are open`)
      window.from = machineTime()
      const found: Round[] = []
      for (let round = 0; round <= rounds; round += 1) {
        const cpuBefore = processCpuMs(rig.pid())
        const revision = await write(0, 9_000 + round)
        const at = machineTime()
        const arrivals = await allArrivals(load, revision, each)
        const cpuMs = processCpuMs(rig.pid()) - cpuBefore
        const since = (times: readonly number[]): number[] => times.map(time => time - at)
        // The first change warms up.
        if (round > 0)
          found.push({ watched: since(arrivals.watched), queried: since(arrivals.queried), cpuMs })
        await delay(100)
      }
      await load.ask('close', undefined)
      const row = (name: string, of: (round: Round) => readonly number[]): string[] => [
        name,
        milliseconds(median(found.map(round => percentile(of(round), 0.5)))),
        milliseconds(median(found.map(round => Math.max(...of(round))))),
        milliseconds(Math.max(...found.map(round => Math.max(...of(round))))),
      ]
      const cpu = median(found.map(({ cpuMs }) => cpuMs))
      return (
        renderRows(
          [`change to answer, ${found.length} changes`, 'p50', 'last', 'worst last'],
          [
            row(`${each} watchers (events)`, ({ watched }) => watched),
            row(`${each} blocking queries`, ({ queried }) => queried),
          ],
        ) +
        `\n\nCPU of the replica per change: ${figure(cpu)} ms, ${figure((cpu * 1_000) / (2 * each))} us for each.`
      )
    } finally {
      writer.close()
      await load.stop()
    }
  })
}

const allArrivals = async (load: BenchProcess<WatchLoadHandlers>, revision: number, each: number) => {
  const deadline = machineTime() + patienceMs
  for (;;) {
    const arrivals = await load.ask('arrivals', revision)
    if (arrivals.watched.length >= each && arrivals.queried.length >= each) return arrivals
    if (machineTime() > deadline) {
      throw new Error(
        `revision ${revision} came to ${arrivals.watched.length} watchers and ${arrivals.queried.length} queries ` +
          `of ${each} each within ${patienceMs} ms`,
      )
    }
    await delay(50)
  }
}
