import { setTimeout as delay } from 'node:timers/promises'
import { machineTime } from '../harness/machine-time.ts'
import { progress, type BenchOptions } from './bench-options.ts'
import { ChangeLoad, convergenceOf, type Convergence } from './change-load.ts'
import type { ProfileWindow } from './cpu-profile.ts'
import { Generator } from './generator/generator.ts'
import { withRig, type Rig } from './rig.ts'
import { checkOpenFiles, until } from './server-figures.ts'
import { figure, median, milliseconds, percentile } from './statistics.ts'
import { renderRows } from './table.ts'
import { ZipfUpstreams, type MeshSize } from './workload.ts'

interface ScaleSize extends MeshSize {
  readonly sidecars: number
}

interface ScaleRound extends Convergence {
  /** ms of the replica's process, until it has read the last ACK. */
  readonly cpuMs: number
  readonly encodes: number
  readonly changes: number
}

const upstreams = 20
const perSecond = 100
const idleMs = 5_000
/** Between the last ACK that a sidecar wrote and the reading of the server's CPU. */
const settleMs = 500

/** A mesh under load, one round at a time. */
interface Contender {
  readonly size: ScaleSize
  readonly rounds: ScaleRound[]
  readonly round: (changes: number) => Promise<ScaleRound>
  /** Cores that the replica takes while nothing changes. */
  readonly idleCores: number
  readonly residentMb: number
  readonly refused: ReadonlyMap<string, number>
}

const subscribersOf = ({ services, sidecars }: ScaleSize): ReadonlyMap<string, number> => {
  const counts = new Map<string, number>()
  const zipf = new ZipfUpstreams({ services, upstreams })
  for (let sidecar = 0; sidecar < sidecars; sidecar += 1)
    for (const service of zipf.of(sidecar)) counts.set(service, (counts.get(service) ?? 0) + 1)
  return counts
}

const idle = async (rig: Rig): Promise<number> => {
  const before = rig.cpuMs()
  await delay(idleMs)
  return (rig.cpuMs() - before) / idleMs
}

/** Sets a mesh up, runs `work` with it. The sidecars front the first instances of the mesh. */
const withMesh = async (
  size: ScaleSize,
  profile: { readonly window: ProfileWindow } | undefined,
  work: (contender: Contender) => Promise<void>,
): Promise<void> => {
  const subscribers = subscribersOf(size)
  const plan = {
    count: size.sidecars,
    upstreams: { services: size.services, each: upstreams },
    instancesOf: size.services,
  }
  await withRig({ load: size, ...(profile && { profile }) }, async rig => {
    await Generator.with({ plan, order: 'envoy', numbered: true }, async generator => {
      const started = machineTime()
      const configured = await generator.connect({
        addresses: rig.addresses,
        atOnce: 200,
        timeoutMs: 600_000,
      })
      progress(
        `${size.sidecars} sidecars configured in ${figure(((configured.at(-1) ?? started) - started) / 1_000)} s`,
      )
      const load = new ChangeLoad({ url: rig.restUrl, size, seed: 7 })
      const round = async (changes: number): Promise<ScaleRound> => {
        const metrics = await rig.metrics()
        const cpuBefore = rig.cpuMs()
        const made = await load.run(changes, perSecond)
        const converged = async (): Promise<Convergence> =>
          convergenceOf(made, await generator.changes(), subscribers)
        await until('every change to reach its subscribers', async () => (await converged()).missing === 0, {
          everyMs: 200,
          timeoutMs: 30_000,
        }).catch((error: unknown) => {
          progress(String(error))
        })
        // Asking for metrics costs the replica a walk over all instances: seldom, and not within what is measured.
        await delay(settleMs)
        const cpuMs = rig.cpuMs() - cpuBefore
        const after = await rig.metrics()
        const grown = (name: string, label?: string): number =>
          after.get(name, label) - metrics.get(name, label)
        const encodes = grown('waymark_xds_encodes_total')
        const unanswered =
          grown('waymark_xds_responses_total') - grown('waymark_xds_answers_total', 'answer="ack"')
        if (unanswered > 0) progress(`${unanswered} ACKs came too late for the figure of the CPU`)
        return { ...(await converged()), cpuMs, encodes, changes }
      }
      await round(perSecond)
      const idleCores = await idle(rig)
      await work({
        size,
        rounds: [],
        round,
        idleCores,
        residentMb: rig.residentBytes() / 1e6,
        refused: load.refused,
      })
    })
  })
}

const cpuPerDelivery = ({ cpuMs, deliveries }: ScaleRound): number => (1_000 * cpuMs) / deliveries

/** Changes at 100/s in a large mesh, and in turn in one of a hundredth of its size. */
export const scale = async ({ small, profile }: BenchOptions): Promise<string> => {
  const large: ScaleSize = small
    ? { instances: 8_600, services: 250, sidecars: 500 }
    : { instances: 172_000, services: 5_000, sidecars: 10_000 }
  const part = small ? 5 : 100
  const little: ScaleSize = {
    instances: large.instances / part,
    services: large.services / part,
    sidecars: large.sidecars / part,
  }
  if (!small) checkOpenFiles(large.sidecars)
  const rounds = small ? 2 : 5
  const changes = perSecond * (small ? 2 : 12)
  const window: ProfileWindow = { from: 0, to: 0 }
  let rows: string[][] = []
  await withMesh(little, undefined, async one => {
    await withMesh(large, profile ? { window } : undefined, async two => {
      window.from = machineTime()
      for (let turn = 1; turn <= rounds; turn += 1) {
        for (const contender of [one, two]) contender.rounds.push(await contender.round(changes))
        progress(`round ${turn} of ${rounds}`)
      }
      window.to = machineTime()
      rows = [one, two].map(contender => rowOf(contender, one))
    })
  })
  return renderRows(
    [
      'instances / services / sidecars',
      'subscribers of a change',
      'due to last ACK p50 / p99',
      'answer to last ACK p50 / p99',
      'CPU per change and subscriber, median of rounds',
      'rounds',
      `to 1/${part}`,
      'CPU per change',
      'encodes per change',
      'idle cores',
      'RSS',
      'not everywhere',
      'answers 503',
    ],
    rows,
  )
}

const rowOf = ({ size, rounds, idleCores, residentMb, refused }: Contender, base: Contender): string[] => {
  const each = rounds.map(cpuPerDelivery)
  const sum = (of: (round: ScaleRound) => number): number =>
    rounds.reduce((total, round) => total + of(round), 0)
  const latency = (values: readonly number[]): string =>
    `${milliseconds(median(values))} / ${milliseconds(percentile(values, 0.99))}`
  const changes = sum(round => round.changes)
  return [
    `${figure(size.instances)} / ${figure(size.services)} / ${figure(size.sidecars)}`,
    figure(sum(({ deliveries }) => deliveries) / changes),
    latency(rounds.flatMap(({ fromDue }) => fromDue)),
    latency(rounds.flatMap(({ fromAnswer }) => fromAnswer)),
    `${figure(median(each))} us`,
    `${figure(Math.min(...each))} to ${figure(Math.max(...each))}`,
    `${(median(each) / median(base.rounds.map(cpuPerDelivery))).toFixed(2)}x`,
    `${figure(sum(({ cpuMs }) => cpuMs) / changes)} ms`,
    figure(sum(({ encodes }) => encodes) / changes),
    idleCores.toFixed(3),
    `${figure(residentMb)} MB`,
    String(sum(({ missing }) => missing)),
    [...refused].map(([code, times]) => `${code}: ${times}`).join(', ') || '0',
  ]
}
