import { setTimeout as delay } from 'node:timers/promises'
import { progress, type BenchOptions } from './bench-options.ts'
import { Generator } from './generator/generator.ts'
import type { SidecarPlan } from './generator/sidecar-plan.ts'
import { withRig } from './rig.ts'
import { figure, median } from './statistics.ts'
import { renderRows } from './table.ts'
import type { MeshSize } from './workload.ts'

interface Case {
  readonly what: string
  readonly size: MeshSize
  readonly sidecars: number
  readonly upstreams: SidecarPlan['upstreams']
}

/** Bytes resident. */
interface Measured {
  readonly loaded: number
  readonly connected: number
  readonly later: number
}

const megabytes = (bytes: number): string => `${figure(bytes / 1e6)} MB`

const restOf = (settleMs: number): Promise<number> =>
  withRig({}, async rig => {
    await delay(settleMs)
    return rig.residentBytes()
  })

const measure = ({ size, sidecars, upstreams }: Case, settleMs: number): Promise<Measured> =>
  withRig({ load: size }, async rig => {
    await delay(settleMs)
    const loaded = rig.residentBytes()
    const plan = { count: sidecars, upstreams, instancesOf: size.services }
    return Generator.with({ plan, order: 'envoy' }, async generator => {
      await generator.connect({ addresses: rig.addresses, atOnce: 100 })
      const connected = rig.residentBytes()
      await delay(settleMs)
      return { loaded, connected, later: rig.residentBytes() }
    })
  })

/** Resident memory of one replica: empty, with a mesh, with its sidecars. No collection is forced. */
export const memory = async ({ small }: BenchOptions): Promise<string> => {
  const rounds = small ? 1 : 3
  const settleMs = small ? 1_000 : 10_000
  const services = small ? 100 : 1_000
  const sidecars = small ? 200 : 2_000
  const size = { services, instances: sidecars }
  const cases: readonly Case[] = [
    { what: '20 upstreams each', size, sidecars, upstreams: { services, each: 20 } },
    { what: 'every service each', size, sidecars, upstreams: null },
  ]
  const rest: number[] = []
  const results = cases.map(() => [] as Measured[])
  for (let round = 1; round <= rounds; round += 1) {
    rest.push(await restOf(settleMs))
    for (const [index, one] of cases.entries()) results[index]?.push(await measure(one, settleMs))
    progress(`round ${round} of ${rounds}`)
  }
  const base = median(rest)
  const row = (what: string, values: readonly number[], streams: number, before: number): string[] => [
    what,
    megabytes(median(values)),
    `${(median(values) / base).toFixed(2)}x`,
    streams === 0 ? '' : `${figure((median(values) - before) / 1_024 / streams)} KiB`,
  ]
  const rows = [row('at rest, empty mesh', rest, 0, 0)]
  for (const [index, { what }] of cases.entries()) {
    const all = results[index] ?? []
    const loaded = all.map(one => one.loaded)
    const before = median(loaded)
    rows.push(
      row(`${figure(services)} services, ${figure(sidecars)} instances, no stream`, loaded, 0, 0),
      row(
        `${figure(sidecars)} sidecars, ${what}: when all are configured`,
        all.map(one => one.connected),
        sidecars,
        before,
      ),
      row(
        `${figure(sidecars)} sidecars, ${what}: ${settleMs / 1_000} s later`,
        all.map(one => one.later),
        sidecars,
        before,
      ),
    )
  }
  return renderRows(['resident memory of one replica', `median of ${rounds}`, 'to rest', 'per stream'], rows)
}
