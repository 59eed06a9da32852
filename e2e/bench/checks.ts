import { setTimeout as sleep } from 'node:timers/promises'
import { machineTime } from '../harness/machine-time.ts'
import { progress, type BenchOptions } from './bench-options.ts'
import { BenchProcess } from './bench-process.ts'
import type { ProfileWindow } from './cpu-profile.ts'
import { postLines } from './post-lines.ts'
import { withRig } from './rig.ts'
import { checkOpenFiles, processCpuMs, until } from './server-figures.ts'
import type { BareChecksHandlers } from './servers/bare-checks-process.ts'
import type { CheckTargetsHandlers } from './servers/check-targets-process.ts'
import { figure, milliseconds } from './statistics.ts'
import { renderRows } from './table.ts'

const services = 100
const service = (index: number): string => `svc-${index % services}`
/** All of 127.0.0.0/8 is this machine. */
const address = (index: number): string => `127.1.${Math.floor(index / 250)}.${(index % 250) + 1}`

const program = (name: string): string => new URL(name, import.meta.url).pathname

interface Measured {
  readonly name: string
  /** Cores used. */
  readonly cores: number
  readonly probes: number
  readonly seconds: number
  /** How long after their turn probes arrived (ms); null: there were none. */
  readonly late: { readonly p50: number; readonly p99: number; readonly max: number } | null
}

const row = ({ name, cores, probes, seconds, late }: Measured): string[] => [
  name,
  figure(probes / seconds),
  figure(cores),
  probes === 0 ? '-' : figure((cores * seconds * 1e6) / probes),
  ...(late === null ? ['-', '-', '-'] : [late.p50, late.p99, late.max].map(milliseconds)),
]

/** Active checks of many instances, against a bare loop that sends the same requests at the same times. */
export const checks = ({ small, profile }: BenchOptions): Promise<string> => {
  const instances = small ? 1_000 : 10_000
  const intervalMs = small ? 2_000 : 10_000
  const window: ProfileWindow = { from: Number.POSITIVE_INFINITY, to: Number.POSITIVE_INFINITY }
  checkOpenFiles(instances)
  return withRig(profile ? { profile: { window } } : {}, async rig => {
    const targets = new BenchProcess<CheckTargetsHandlers>({
      program: program('servers/check-targets-process.ts'),
    })
    const measure = async (
      name: string,
      { pid, settleMs, rounds }: { readonly pid: number; readonly settleMs: number; readonly rounds: number },
    ): Promise<Measured> => {
      await sleep(settleMs)
      await targets.ask('forget', undefined)
      const [cpu, started] = [processCpuMs(pid), performance.now()]
      await sleep(rounds * intervalMs)
      const ms = performance.now() - started
      const { probes, ...late } = await targets.ask('seen', intervalMs)
      const cores = (processCpuMs(pid) - cpu) / ms
      progress(
        `${name}: ${figure(cores)} cores, ${figure(probes)} probes, p99 ${milliseconds(late.p99)} late`,
      )
      return { name, cores, probes, seconds: ms / 1_000, late: probes === 0 ? null : late }
    }
    const bare = async (reuse: boolean, port: number): Promise<Measured> => {
      const loop = new BenchProcess<BareChecksHandlers>({
        program: program('servers/bare-checks-process.ts'),
      })
      try {
        const addresses = Array.from({ length: instances }, (_, index) => address(index))
        await loop.ask('start', { addresses, port, intervalMs, reuse })
        const name = `bare node:http, ${reuse ? 'a connection for each target' : 'a connection for each probe'}`
        return await measure(name, { pid: loop.pid, settleMs: 1.5 * intervalMs, rounds: 2 })
      } finally {
        await loop.stop()
      }
    }
    try {
      const port = await targets.ask('listen', undefined)
      const lines = Array.from({ length: instances }, (_, index) =>
        JSON.stringify({
          service: service(index),
          id: `i-${index}`,
          address: address(index),
          port,
          lease: null,
        }),
      )
      await postLines(`${rig.restUrl}/api/v1/instances:batch`, lines)
      const idle = await measure('Waymark without checks', { pid: rig.pid(), settleMs: 1_000, rounds: 1 })
      for (let index = 0; index < services; index += 1) {
        const check = { kind: 'http', path: '/healthz', interval: `${intervalMs}ms`, timeout: '1s' }
        await rig.mesh.api.apply('Service', service(index), { checks: [check] })
      }
      await until(
        'every instance is healthy',
        async () => (await rig.metrics()).get('waymark_mesh_instances', 'verdict="healthy"') === instances,
        { everyMs: 500, timeoutMs: 20 * intervalMs },
      )
      window.from = machineTime()
      const waymark = await measure('Waymark', { pid: rig.pid(), settleMs: intervalMs, rounds: 3 })
      window.to = machineTime()
      const failures = (await rig.metrics()).get('waymark_checks_failures_total')
      for (let index = 0; index < services; index += 1)
        await rig.mesh.api.apply('Service', service(index), {})
      const floor = [await bare(false, port), await bare(true, port)]
      return [
        renderRows(
          [
            `${figure(instances)} instances, every ${figure(intervalMs / 1_000)} s`,
            'probes/s',
            'cores',
            'CPU us per probe',
            'late p50',
            'late p99',
            'late max',
          ],
          [idle, waymark, ...floor].map(row),
        ),
        '',
        `${figure(failures)} probes failed.`,
      ].join('\n')
    } finally {
      await targets.stop()
    }
  })
}
