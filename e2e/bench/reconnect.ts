import { machineTime } from '../harness/machine-time.ts'
import { progress, type BenchOptions } from './bench-options.ts'
import { Generator } from './generator/generator.ts'
import type { Address } from './generator/fleet.ts'
import { withRig, type Rig } from './rig.ts'
import { checkOpenFiles, until } from './server-figures.ts'
import { figure, median } from './statistics.ts'
import { renderRows } from './table.ts'

interface Measured {
  readonly seconds: number
  readonly cpuMs: number
  readonly responses: number
  readonly resourceBytes: number
  readonly streamsAtTarget: number
}

const services = 1_000
const upstreams = 20

/** Clusters, endpoints, listeners, routes: what each sidecar asks for when it comes back. */
const requestsEach = 4

const addressOf = (rig: Rig, replica: number): Address => rig.mesh.replica(replica).process.xds

/** All sidecars leave their replica at once and connect to the other with what they hold. */
const move = async (rig: Rig, generator: Generator, to: number): Promise<Measured> => {
  const before = await rig.metrics(to)
  const countsBefore = await generator.counts()
  const cpuBefore = rig.cpuMs()
  await generator.disconnect()
  const started = machineTime()
  await generator.connect({ addresses: [addressOf(rig, to)] })
  const wanted = before.get('waymark_xds_requests_total') + requestsEach * generator.sidecars
  // What equals the sidecar's versions is not answered, so that only the server can tell when it has read all.
  await until(
    'the replica to have read every request',
    async () => {
      return (await rig.metrics(to)).get('waymark_xds_requests_total') >= wanted
    },
    { everyMs: 100 },
  )
  const seconds = (machineTime() - started) / 1_000
  const counts = await generator.counts()
  return {
    seconds,
    cpuMs: rig.cpuMs() - cpuBefore,
    responses: counts.responses - countsBefore.responses,
    resourceBytes: counts.resourceBytes - countsBefore.resourceBytes,
    streamsAtTarget: (await rig.metrics(to)).get('waymark_xds_streams'),
  }
}

/** Sidecars that drop and come back to another replica, telling the versions that they hold. */
export const reconnect = async ({ small }: BenchOptions): Promise<string> => {
  const sidecars = small ? 200 : 5_000
  const rounds = small ? 2 : 6
  checkOpenFiles(sidecars)
  const plan = { count: sidecars, upstreams: { services, each: upstreams }, instancesOf: services }
  return withRig({ replicas: 2, load: { services, instances: Math.max(services, sidecars) } }, async rig =>
    Generator.with({ plan, order: 'envoy', keep: true }, async generator => {
      const started = machineTime()
      const times = await generator.connect({ addresses: [addressOf(rig, 0)], atOnce: 200 })
      const first = { seconds: ((times.at(-1) ?? started) - started) / 1_000, ...(await generator.counts()) }
      progress(`${sidecars} sidecars configured in ${figure(first.seconds)} s`)
      const results: Measured[] = []
      for (let round = 1; round <= rounds; round += 1) {
        results.push(await move(rig, generator, round % 2))
        progress(`round ${round} of ${rounds}`)
      }
      const middle = (of: (one: Measured) => number): number => median(results.map(of))
      return renderRows(
        [
          'sidecars',
          'what',
          'until all are in sync',
          'resource bytes sent',
          'responses sent',
          'CPU per stream',
          'time to the first connection',
        ],
        [
          [
            figure(sidecars),
            'connect with nothing',
            `${figure(first.seconds)} s`,
            figure(first.resourceBytes),
            figure(first.responses),
            '',
            '1.00x',
          ],
          [
            figure(sidecars),
            `drop and connect to the other replica (median of ${rounds})`,
            `${figure(middle(({ seconds }) => seconds))} s`,
            figure(middle(({ resourceBytes }) => resourceBytes)),
            figure(middle(({ responses }) => responses)),
            `${figure((1_000 * middle(({ cpuMs }) => cpuMs)) / sidecars)} us`,
            `${(middle(({ seconds }) => seconds) / first.seconds).toFixed(2)}x`,
          ],
        ],
      )
    }),
  )
}
