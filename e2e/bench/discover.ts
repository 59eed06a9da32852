import { machineTime } from '../harness/machine-time.ts'
import { progress, type BenchOptions } from './bench-options.ts'
import { BenchProcess } from './bench-process.ts'
import type { ProfileWindow } from './cpu-profile.ts'
import type { GetLoadHandlers } from './generator/get-load-process.ts'
import { HttpClient } from './http-client.ts'
import { withRig } from './rig.ts'
import { processCpuMs } from './server-figures.ts'
import type { BareFastifyHandlers } from './servers/bare-fastify-process.ts'
import { figure, median } from './statistics.ts'
import { renderRows } from './table.ts'

const clients = 64
const instances = 100
const path = '/api/v1/discover/payments'

const program = (name: string): string => new URL(name, import.meta.url).pathname

const registration = (index: number): string =>
  JSON.stringify({
    address: `10.0.0.${index}`,
    port: 8080,
    version: 'v1',
    metadata: { team: 'core' },
    locality: { region: 'eu-1', zone: `eu-1${'abc'[index % 3] ?? ''}` },
    lease: null,
    checks: [],
  })

const registerAll = async (url: string): Promise<Buffer> => {
  const client = await HttpClient.open(url)
  for (let index = 0; index < instances; index += 1) {
    const status = await client.send(
      'PUT',
      `/api/v1/services/payments/instances/i-${index}`,
      registration(index),
    )
    if (status !== 201) throw new Error(`a registration was answered with ${status}`)
  }
  await client.send('GET', path)
  const body = client.lastBody
  client.close()
  return body
}

interface Result {
  readonly perSecond: number
  /** Of the server, per answer (us). */
  readonly cpuUs: number
}

/** Reads of a service per second, in turn with a bare fastify that sends the same bytes. */
export const discover = ({ small, profile }: BenchOptions): Promise<string> => {
  const window: ProfileWindow = { from: 0, to: Number.POSITIVE_INFINITY }
  return withRig(profile ? { profile: { window } } : {}, async rig => {
    const { mesh } = rig
    const rounds = small ? 2 : 5
    const ms = small ? 1_000 : 5_000
    const body = await registerAll(mesh.api.url)
    window.from = machineTime()
    const generator = new BenchProcess<GetLoadHandlers>({ program: program('generator/get-load-process.ts') })
    const bare = new BenchProcess<BareFastifyHandlers>({
      program: program('servers/bare-fastify-process.ts'),
    })
    try {
      const bareUrl = await bare.ask('serve', { path, body })
      const run = async (url: string, server: number): Promise<Result> => {
        const before = processCpuMs(server)
        const { perSecond, bytes } = await generator.ask('load', { url, path, clients, ms })
        if (bytes !== body.length) throw new Error(`an answer has ${bytes} bytes instead of ${body.length}`)
        const cpuUs = ((processCpuMs(server) - before) * 1_000) / (perSecond * (ms / 1_000))
        return { perSecond, cpuUs }
      }
      const rows: string[][] = []
      const results: { bare: Result; waymark: Result }[] = []
      for (let round = 0; round <= rounds; round += 1) {
        const result = { bare: await run(bareUrl, bare.pid), waymark: await run(mesh.api.url, rig.pid()) }
        progress(
          `round ${round}: ${figure(result.waymark.perSecond)}/s, bare ${figure(result.bare.perSecond)}/s`,
        )
        if (round > 0) results.push(result)
      }
      const row = (name: string, of: (result: { bare: Result; waymark: Result }) => number): string[] => [
        name,
        ...results.map(result => figure(of(result))),
        figure(median(results.map(of))),
      ]
      rows.push(
        row('answers per second: bare fastify', result => result.bare.perSecond),
        row('answers per second: Waymark', result => result.waymark.perSecond),
        row('ratio', result => result.waymark.perSecond / result.bare.perSecond),
        row('CPU per answer (us): bare fastify', result => result.bare.cpuUs),
        row('CPU per answer (us): Waymark', result => result.waymark.cpuUs),
        row('ratio', result => result.waymark.cpuUs / result.bare.cpuUs),
      )
      const head = `${instances} instances, ${figure(body.length / 1_024)} KiB, ${clients} clients`
      return renderRows([head, ...results.map((_, index) => `round ${index + 1}`), 'median'], rows)
    } finally {
      await Promise.all([generator.stop(), bare.stop()])
    }
  })
}
