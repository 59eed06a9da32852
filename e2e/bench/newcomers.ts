import { machineTime } from '../harness/machine-time.ts'
import { progress, type BenchOptions } from './bench-options.ts'
import type { ProfileWindow } from './cpu-profile.ts'
import { Generator } from './generator/generator.ts'
import { withRig } from './rig.ts'
import { figure, median, percentile } from './statistics.ts'
import { renderRows } from './table.ts'

const upstreams = 20

interface Measured {
  /** Milliseconds from the first connection to each sidecar's first routes, in order. */
  readonly times: readonly number[]
  readonly cpuMs: number
  readonly responses: number
}

/** So many sidecars connect at once, several times over; each begins with nothing. */
const measure = (
  sidecars: number,
  rounds: number,
  window: ProfileWindow | null,
): Promise<readonly Measured[]> => {
  const services = 1_000
  const plan = { count: sidecars, upstreams: { services, each: upstreams }, instancesOf: services }
  const load = { services, instances: 3 * services }
  return withRig({ load, ...(window && { profile: { window } }) }, async rig => {
    const results: Measured[] = []
    if (window !== null) window.from = machineTime()
    await Generator.with({ plan, order: 'envoy' }, async generator => {
      for (let round = 0; round <= rounds; round += 1) {
        const before = rig.cpuMs()
        const responsesBefore = (await generator.counts()).responses
        const started = machineTime()
        const times = await generator.connect({ addresses: rig.addresses })
        const { responses } = await generator.counts()
        // The first round finds a cold server.
        if (round > 0)
          results.push({
            times: times.map(time => time - started),
            cpuMs: rig.cpuMs() - before,
            responses: responses - responsesBefore,
          })
        await generator.disconnect()
        progress(`${sidecars} sidecars: round ${round} of ${rounds}`)
      }
    })
    if (window !== null) window.to = machineTime()
    return results
  })
}

/** Many sidecars that connect at the same moment, until each has its first config. */
export const newcomers = async ({ small, profile }: BenchOptions): Promise<string> => {
  const sizes = small ? [20, 200] : [100, 1_000]
  const rounds = small ? 2 : 5
  const all = []
  for (const sidecars of sizes)
    all.push({ sidecars, results: await measure(sidecars, rounds, profile ? { from: 0, to: 0 } : null) })
  const perSidecar = (results: readonly Measured[], sidecars: number): number =>
    median(results.map(({ times }) => times.at(-1) ?? Number.NaN)) / sidecars
  const [first] = all
  const base = first === undefined ? Number.NaN : perSidecar(first.results, first.sidecars)
  const rows = all.map(({ sidecars, results }) => {
    const seconds = (share: number): string =>
      `${figure(median(results.map(({ times }) => percentile(times, share))) / 1_000)} s`
    return [
      figure(sidecars),
      seconds(0),
      seconds(0.5),
      seconds(1),
      `${figure(perSidecar(results, sidecars))} ms`,
      `${(perSidecar(results, sidecars) / base).toFixed(2)}x`,
      `${figure(median(results.map(({ cpuMs }) => cpuMs)) / sidecars)} ms`,
      figure(median(results.map(({ responses }) => responses)) / sidecars),
    ]
  })
  return renderRows(
    [
      `sidecars at once, ${upstreams} upstreams each`,
      'first',
      'median',
      `last (median of ${rounds} rounds)`,
      'last, per sidecar',
      `to ${sizes[0] ?? 0}`,
      'server CPU per sidecar',
      'responses per sidecar',
    ],
    rows,
  )
}
