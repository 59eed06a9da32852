import { setTimeout as delay } from 'node:timers/promises'
import { countsSince, Load, type LoadCounts } from './load.ts'
import type { Mesh, SampleInstance } from './mesh.ts'
import { isSameProcess } from './process-identity.ts'
import type { Screen } from './screen.ts'
import { judgeFailures, renderReport, type Chapter } from './smoke-report.ts'
import type { Stack } from './stack.ts'
import { plainPaint, terminalPaint } from './table.ts'
import { waitFor } from './wait.ts'

export interface SmokeOptions {
  readonly stack: Stack
  readonly screen: Screen
  readonly signal: AbortSignal
  /** Names of processes that ended without having been told to; grows while the story runs. */
  readonly unexpectedEnds: readonly string[]
}

const perSecond = 50
const outageMs = 10_000
/** Requests that were with the instance in the moment of its death have no answer; a retry might do them twice. */
const mostLostWithAnInstance = 3

interface Told {
  readonly figure: string
  readonly problems?: readonly string[]
  /** Failed requests that are no failure of the chapter; 0 unless told otherwise. */
  readonly mostFailed?: number
}

interface StatusAnswer {
  readonly modes: readonly { readonly capability: string; readonly mode: string }[]
}
interface InstancesAnswer {
  readonly instances: readonly { readonly id: string; readonly verdict: string }[]
}
interface SidecarsAnswer {
  readonly sidecars: readonly { readonly node: string; readonly inSync: boolean }[]
}

const seconds = (ms: number): string => `${(ms / 1_000).toFixed(1)} s`

/** The sidecars that still send requests to `victim`: it is among their hosts, and EDS calls it healthy. */
const sidecarsThatUse = async (mesh: Mesh, victim: SampleInstance): Promise<string[]> => {
  const others = mesh.instances.filter(instance => instance !== victim)
  const using = await Promise.all(
    others.map(async ({ name, sidecar }) => {
      const hosts = (await sidecar.admin.clusters()).get(victim.spec.service) ?? []
      return hosts.some(({ port, edsHealth }) => port === victim.ports.inbound && edsHealth === 'HEALTHY')
        ? name
        : null
    }),
  )
  return using.filter(name => name !== null)
}

class Story {
  readonly chapters: Chapter[] = []
  readonly #stack: Stack
  readonly #mesh: Mesh
  readonly #screen: Screen
  readonly #signal: AbortSignal
  readonly #load: Load

  constructor({ stack, screen, signal }: SmokeOptions, mesh: Mesh) {
    this.#stack = stack
    this.#mesh = mesh
    this.#screen = screen
    this.#signal = signal
    const targets = mesh.of('web').map(({ url }) => new URL(url))
    this.#load = new Load({ targets, perSecond })
  }

  async tell(): Promise<void> {
    this.#load.start()
    try {
      await this.#chapter('requests through the mesh', () => this.#steady())
      const [, victim] = this.#mesh.of('payments')
      if (victim === undefined) throw new Error('the sample mesh has no second payments instance')
      await this.#chapter(`${victim.name} killed with SIGKILL`, () => this.#death(victim))
      await this.#chapter('control plane killed and restarted', () => this.#restart())
      if (this.#stack.postgres === null)
        this.#tellSkipped('Postgres away', 'DATABASE_URL names a Postgres that is not ours to stop')
      else await this.#chapter(`Postgres away for ${outageMs / 1_000} s`, () => this.#outage())
      await this.#chapter(`${victim.name} back`, () => this.#comeback(victim))
    } finally {
      await this.#load.stop()
    }
  }

  async #chapter(title: string, run: () => Promise<Told>): Promise<void> {
    const before = this.#load.counts
    const told = await this.#screen.step(
      title,
      async () => {
        try {
          return await run()
        } catch (error) {
          if (this.#signal.aborted) throw error
          // A condition that did not come true is a result; the story goes on as far as it can.
          return { figure: '', problems: [error instanceof Error ? error.message : 'it failed'] }
        }
      },
      ({ figure, problems = [] }) => [title, ...(figure === '' ? [] : [figure]), ...problems].join(': '),
      ({ problems = [] }) => problems.length === 0,
    )
    // What was sent in this chapter has been answered, or failed, before it is judged.
    await this.#settle(before)
    const counts = countsSince(this.#load.counts, before)
    const problems = [...(told.problems ?? []), ...judgeFailures(counts, told.mostFailed ?? 0)]
    this.chapters.push({ title, counts, figure: told.figure, problems })
  }

  #tellSkipped(title: string, figure: string): void {
    this.chapters.push({ title, counts: null, figure, problems: [] })
    this.#screen.note(`${title}: skipped, ${figure}`)
  }

  async #settle(before: LoadCounts): Promise<void> {
    const { sent } = countsSince(this.#load.counts, before)
    await this.#until('the requests of the chapter to be answered', 25_000, () => {
      const { ok, failed } = countsSince(this.#load.counts, before)
      return ok + failed >= sent
    })
  }

  /** Every instance takes part. */
  async #steady(): Promise<Told> {
    const all = this.#mesh.instances.map(({ name }) => name)
    const before = this.#load.counts
    await this.#until('every instance to have answered', 20_000, () => {
      const { byInstance } = countsSince(this.#load.counts, before)
      return all.every(name => (byInstance.get(name) ?? 0) > 0)
    })
    await this.#pause(3_000)
    return { figure: `all ${all.length} instances took part` }
  }

  async #death(victim: SampleInstance): Promise<Told> {
    const began = performance.now()
    await victim.kill()
    await this.#until(
      'every sidecar to drop the dead instance',
      30_000,
      async () => (await sidecarsThatUse(this.#mesh, victim)).length === 0,
    )
    const dropped = performance.now() - began
    const quiet = this.#load.counts
    await this.#pause(2_000)
    const after = countsSince(this.#load.counts, quiet)
    const reached = after.byInstance.get(victim.name) ?? 0
    return {
      figure: `the last sidecar had dropped it after ${seconds(dropped)}`,
      mostFailed: mostLostWithAnInstance,
      problems: [
        ...(reached > 0 ? [`expected no answer of the dead instance, saw ${reached}`] : []),
        ...judgeFailures(after, 0),
      ],
    }
  }

  async #restart(): Promise<Told> {
    const { controlPlane } = this.#stack
    const began = performance.now()
    await controlPlane.kill()
    await this.#pause(2_000)
    await controlPlane.start()
    const ready = performance.now() - began
    await this.#inSync()
    const synced = performance.now() - began
    await this.#pause(1_000)
    return { figure: `away for ${seconds(ready)}, all sidecars in sync again after ${seconds(synced)}` }
  }

  async #outage(): Promise<Told> {
    const { postgres, controlPlane } = this.#stack
    if (postgres === null) throw new Error('there is no Postgres to stop')
    const before = await this.#verdicts()
    await postgres.stop()
    const began = performance.now()
    const seen = new Map<string, string>()
    while (performance.now() - began < outageMs) {
      const status = await controlPlane.read<StatusAnswer>('/api/v1/status').catch(() => null)
      for (const { capability, mode } of status?.modes ?? [])
        if (mode !== 'target') seen.set(capability, mode)
      await this.#pause(250)
    }
    await postgres.start()
    await this.#until('writes to be accepted again', 30_000, () => this.#canWrite())
    const recovered = performance.now() - began - outageMs
    await this.#pause(1_000)
    const after = await this.#verdicts()
    const changed = [...before].filter(([id, verdict]) => after.get(id) !== verdict)
    return {
      figure: `writes accepted ${seconds(recovered)} after its return; shown meanwhile: ${[...seen].map(entry => entry.join(' ')).join(', ') || 'nothing'}`,
      problems: [
        ...(seen.size === 0 ? ['expected /status to show a mode other than target, it did not'] : []),
        ...changed.map(
          ([id, verdict]) =>
            `expected ${id} to stay ${verdict}, it became ${after.get(id) ?? 'unknown to the registry'}`,
        ),
      ],
    }
  }

  async #comeback(instance: SampleInstance): Promise<Told> {
    const before = this.#load.counts
    const began = performance.now()
    instance.start()
    await this.#until('requests to reach it again', 30_000, () => {
      const { byInstance } = countsSince(this.#load.counts, before)
      return (byInstance.get(instance.name) ?? 0) > 0
    })
    const reached = performance.now() - began
    await this.#pause(2_000)
    return { figure: `requests reached it after ${seconds(reached)}` }
  }

  async #inSync(): Promise<void> {
    const wanted = this.#mesh.instances.filter(({ sidecar }) => sidecar.pid !== null).length
    await this.#until('all sidecars to be in sync', 30_000, async () => {
      const { sidecars } = await this.#stack.controlPlane.read<SidecarsAnswer>('/api/v1/sidecars')
      return sidecars.filter(({ inSync }) => inSync).length >= wanted
    })
  }

  async #verdicts(): Promise<Map<string, string>> {
    const services = [...new Set(this.#mesh.instances.map(({ spec }) => spec.service))]
    const answers = await Promise.all(
      services.map(service =>
        this.#stack.controlPlane.read<InstancesAnswer>(`/api/v1/services/${service}/instances`),
      ),
    )
    return new Map(answers.flatMap(({ instances }) => instances.map(({ id, verdict }) => [id, verdict])))
  }

  /** An instance outside of all lists, registered and taken out again. */
  async #canWrite(): Promise<boolean> {
    const path = '/api/v1/services/smoke-probe/instances/smoke-probe-1'
    const { ok } = await this.#stack.controlPlane.ask(path, {
      method: 'PUT',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ address: '127.0.0.1', port: 9, lease: null }),
    })
    if (ok) await this.#stack.controlPlane.ask(path, { method: 'DELETE' })
    return ok
  }

  #until(what: string, timeoutMs: number, probe: () => boolean | Promise<boolean>): Promise<true> {
    return waitFor(probe, { what, timeoutMs, intervalMs: 50, signal: this.#signal })
  }

  /** Only to let traffic flow; what matters is counted, not timed. */
  async #pause(ms: number): Promise<void> {
    await delay(ms, undefined, { signal: this.#signal })
  }
}

/** Tells the story on a stack that is up and stops it; true when everything was as expected. */
export const runSmoke = async (options: SmokeOptions): Promise<boolean> => {
  const { stack, screen } = options
  if (stack.mesh === null) throw new Error('the story needs the sample mesh')
  const story = new Story(options, stack.mesh)
  await story.tell()
  const ends = [...options.unexpectedEnds]
  const processes = stack.running.map(({ name, identity }) => ({ name, ...identity }))
  await stack.stop()
  const left = processes.filter(isSameProcess)
  const problems = [
    ...ends.map(name => `expected no process to end by itself, ${name} did; see ${stack.dataDir}/logs`),
    ...left.map(({ name, pid }) => `expected no process to stay, ${name} (pid ${pid}) did`),
  ]
  if (problems.length > 0) story.chapters.push({ title: 'processes', counts: null, figure: '', problems })
  screen.line('')
  for (const line of renderReport(story.chapters, screen.live ? terminalPaint : plainPaint)) screen.line(line)
  const passed = story.chapters.every(({ problems }) => problems.length === 0)
  const all = story.chapters.reduce((sum, { counts }) => sum + (counts?.sent ?? 0), 0)
  const failed = story.chapters.reduce((sum, { counts }) => sum + (counts?.failed ?? 0), 0)
  screen.line('')
  screen.line(`smoke: ${passed ? 'passed' : 'failed'}; ${all} requests through the mesh, ${failed} failed`)
  return passed
}
