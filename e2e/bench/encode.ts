import { progress, type BenchOptions } from './bench-options.ts'
import { ChangeLoad, convergenceOf } from './change-load.ts'
import { Generator } from './generator/generator.ts'
import { withRig } from './rig.ts'
import { until } from './server-figures.ts'
import { figure, median } from './statistics.ts'
import { renderRows } from './table.ts'

const services = 50
const instances = 1_720
/** Slow enough that each change leaves before the next one comes. */
const perSecond = 20

interface Measured {
  readonly encodes: number
  readonly responses: number
  readonly cpuMs: number
}

/** Every sidecar calls every service, so that each change goes to all of them. */
const measure = (sidecars: number, rounds: number, changes: number): Promise<readonly Measured[]> => {
  const size = { services, instances }
  const plan = { count: sidecars, upstreams: { services, each: services } }
  const subscribers = new Map(Array.from({ length: services }, (_, index) => [`svc-${index}`, sidecars]))
  return withRig({ load: size }, rig =>
    Generator.with({ plan, order: 'envoy', numbered: true }, async generator => {
      await generator.connect({ addresses: rig.addresses, atOnce: 100 })
      const load = new ChangeLoad({ url: rig.restUrl, size, seed: 3 })
      const results: Measured[] = []
      for (let round = 1; round <= rounds; round += 1) {
        const before = await rig.metrics()
        const cpuBefore = rig.cpuMs()
        const made = await load.run(changes, perSecond)
        await until('every change to reach its subscribers', async () => {
          return convergenceOf(made, await generator.changes(), subscribers).missing === 0
        })
        const after = await rig.metrics()
        const grown = (name: string): number => (after.get(name) - before.get(name)) / changes
        results.push({
          encodes: grown('waymark_xds_encodes_total'),
          responses: grown('waymark_xds_responses_total'),
          cpuMs: (rig.cpuMs() - cpuBefore) / changes,
        })
      }
      progress(`${sidecars} sidecars: ${rounds} rounds of ${changes} changes`)
      return results
    }),
  )
}

/** How often a changed resource is encoded, by the number of sidecars that get it. All see the same view. */
export const encode = async ({ small }: BenchOptions): Promise<string> => {
  const rounds = small ? 2 : 5
  const changes = small ? 20 : 100
  const rows: string[][] = []
  let base = Number.NaN
  for (const sidecars of small ? [1, 50] : [1, 100, 1_000]) {
    const results = await measure(sidecars, rounds, changes)
    const encodes = median(results.map(one => one.encodes))
    if (Number.isNaN(base)) base = encodes
    rows.push([
      figure(sidecars),
      figure(encodes),
      `${(encodes / base).toFixed(2)}x`,
      figure(median(results.map(one => one.responses))),
      `${figure(median(results.map(one => one.cpuMs)))} ms`,
    ])
  }
  return renderRows(
    [
      'sidecars',
      `encodes per change (median of ${rounds})`,
      'to 1',
      'responses per change',
      'CPU per change',
    ],
    rows,
  )
}
