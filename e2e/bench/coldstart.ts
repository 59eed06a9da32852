import { setTimeout as delay } from 'node:timers/promises'
import { machineTime } from '../harness/machine-time.ts'
import { progress, type BenchOptions } from './bench-options.ts'
import { Generator } from './generator/generator.ts'
import { isPortOpen } from './port-open.ts'
import { withRig, type Rig } from './rig.ts'
import { figure, median } from './statistics.ts'
import { renderRows } from './table.ts'
import type { MeshSize } from './workload.ts'

interface Measured {
  /** Milliseconds from the start of the process. */
  readonly listening: number
  readonly answered: number
  readonly configured: number
  readonly cpuMs: number
  readonly residentMb: number
}

const portLimitMs = 60_000

/** Stops the replica and starts it again, while one sidecar waits for its port. */
const restart = async (rig: Rig, generator: Generator): Promise<Measured> => {
  const replica = rig.mesh.replica(0).process
  await replica.stop()
  await generator.disconnect()
  const started = machineTime()
  const ready = replica.start({ timeoutMs: portLimitMs })
  // A failed start is told by `ready`; until then it must not be an unhandled rejection.
  ready.catch(() => undefined)
  while (!(await isPortOpen(replica.xds))) {
    if (machineTime() - started > portLimitMs) throw new Error('the replica does not listen')
    await delay(5)
  }
  const listening = machineTime() - started
  await generator.connect({ addresses: [replica.xds] })
  const configured = machineTime() - started
  const answered = ((await generator.firstResponse()) ?? Number.NaN) - started
  await ready
  return {
    listening,
    answered,
    configured,
    cpuMs: rig.cpuMs(),
    residentMb: rig.residentBytes() / 1e6,
  }
}

/** The start of a replica, by the size of the mesh that it finds in Postgres. */
export const coldstart = async ({ small }: BenchOptions): Promise<string> => {
  const rounds = small ? 2 : 7
  const sizes: readonly (MeshSize | null)[] = small
    ? [null, { services: 250, instances: 8_600 }]
    : [null, { services: 5_000, instances: 172_000 }]
  const rows: string[][] = []
  let base = Number.NaN
  for (const size of sizes) {
    const plan = { count: 1, upstreams: size === null ? [] : { services: size.services, each: 20 } }
    const results = await withRig(size === null ? {} : { load: size }, rig =>
      Generator.with({ plan, order: 'envoy' }, async generator => {
        const all: Measured[] = []
        for (let round = 1; round <= rounds; round += 1) {
          all.push(await restart(rig, generator))
          progress(`${size?.instances ?? 0} instances: round ${round} of ${rounds}`)
        }
        return all
      }),
    )
    const seconds = (of: (one: Measured) => number): string => `${figure(median(results.map(of)) / 1_000)} s`
    const answered = median(results.map(one => one.answered))
    if (size === null) base = answered
    rows.push([
      figure(size?.instances ?? 0),
      seconds(one => one.listening),
      seconds(one => one.answered),
      `${(answered / base).toFixed(2)}x`,
      seconds(one => one.configured),
      seconds(one => one.cpuMs),
      `${figure(median(results.map(({ residentMb }) => residentMb)))} MB`,
    ])
  }
  return renderRows(
    [
      'instances in Postgres',
      'start to listening',
      `start to first xDS answer (median of ${rounds})`,
      'to an empty mesh',
      'start to a sidecar with 20 upstreams configured',
      'CPU',
      'RSS',
    ],
    rows,
  )
}
