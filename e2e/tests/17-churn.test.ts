import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { systemClock } from '@waymark/control-plane/runtime/clock.ts'
import { silentLogger } from '@waymark/control-plane/runtime/logger.ts'
import { MemorySource } from '@waymark/control-plane/xds/memory-source.ts'
import { XdsServer } from '@waymark/control-plane/xds/xds-server.ts'
import { EnvoyAdmin } from '@waymark/deploy/local/envoy-admin.ts'
import { freePorts } from '@waymark/deploy/local/ports.ts'
import { Supervisor } from '@waymark/deploy/local/processes.ts'
import { buildBootstrap } from '@waymark/sidecar-config/bootstrap/bootstrap.ts'
import { expect, inject, onTestFinished, test } from 'vitest'
import { ChurnModel, type ChurnOptions } from '../harness/churn-model.ts'
import { eventually, eventuallyHolds } from '../harness/eventually.ts'
import { Load } from '../harness/load.ts'
import { startPlainApp } from '../harness/plain-app.ts'
import { randomFrom } from '../harness/random.ts'
import type { LoadReport } from '../harness/tally.ts'

/** `CHURN_SECONDS=600 CHURN_SEED=7 npx vitest run --project e2e e2e/tests/17-churn.test.ts` for a long run. */
const seconds = Number(process.env['CHURN_SECONDS'] ?? 15)
const seed = Number(process.env['CHURN_SEED'] ?? Math.floor(Math.random() * 2 ** 31))

const startApp = async (): Promise<number> => {
  const app = await startPlainApp()
  onTestFinished(app.stop)
  return app.port
}

/** The server and its successors at one port, over one source. */
class Control {
  readonly source: MemorySource
  readonly port: number
  #server: XdsServer | undefined
  #abort = new AbortController()
  #ended: Promise<void> = Promise.resolve()

  constructor(source: MemorySource, port: number) {
    this.source = source
    this.port = port
  }

  async start(): Promise<void> {
    this.#abort = new AbortController()
    this.#server = new XdsServer({
      source: this.source,
      clock: systemClock,
      logger: silentLogger,
      listen: { host: '127.0.0.1', port: this.port },
      timings: { stopMs: 100 },
    })
    await this.#server.listen()
    this.#ended = this.#server.start(this.#abort.signal)
  }

  async stop(): Promise<void> {
    this.#abort.abort()
    await this.#ended
  }

  get status() {
    return this.#server?.streams()[0]
  }
}

const startEnvoy = async (control: Control): Promise<EnvoyAdmin> => {
  const directory = await mkdtemp(join(tmpdir(), 'waymark-churn-'))
  const supervisor = new Supervisor({ logDir: directory })
  onTestFinished(async () => {
    await supervisor.stopAll()
    await rm(directory, { recursive: true, force: true })
  })
  const [adminPort = 0] = await freePorts(1)
  const bootstrap = buildBootstrap({
    service: 'churn',
    instance: 'churn-1',
    locality: { region: '', zone: '' },
    controlPlane: [{ host: '127.0.0.1', port: control.port }],
    adminPort,
  })
  const file = join(directory, 'envoy.json')
  await writeFile(file, JSON.stringify(bootstrap))
  const envoy = supervisor.start({
    name: 'envoy',
    group: 'envoy',
    command: inject('envoy'),
    args: ['-c', file, '--concurrency', '2', '--disable-hot-restart', '--drain-time-s', '5'],
    env: process.env,
  })
  const admin = new EnvoyAdmin(adminPort)
  await eventually('Envoy to be ready', async () => {
    const error = envoy.failed()
    if (error !== null) throw error
    return admin.isReady().catch(() => false)
  })
  return admin
}

const churn = async (virtualHosts: ChurnOptions['virtualHosts']) => {
  const random = randomFrom(seed)
  const apps = await Promise.all(Array.from({ length: 5 }, startApp))
  const [xdsPort = 0, port = 0] = await freePorts(2)
  const model = new ChurnModel({ random, apps, port, virtualHosts })
  const control = new Control(new MemorySource(), xdsPort)
  control.source.apply(model.change())
  await control.start()
  onTestFinished(() => control.stop())
  const admin = await startEnvoy(control)

  const inSync = () => eventually('the sidecar to be in sync', () => control.status?.inSync, 40_000)
  const loads = new Map<string, Load>()
  const reports: LoadReport[] = []
  const ask = (host: string) =>
    loads.set(host, Load.start({ port, authority: host, perSecond: 40, clients: 4 }))
  const endLoad = async (host: string) => {
    const load = loads.get(host)
    loads.delete(host)
    if (load !== undefined) reports.push(await load.stop())
  }
  await inSync()
  for (const host of model.hosts) ask(host)

  const history: string[] = []
  const ends = performance.now() + seconds * 1_000
  while (performance.now() < ends) {
    if (random() < 0.03) {
      history.push('server stops')
      await control.stop()
      // What happens while it is away comes all at once.
      for (let left = Math.floor(random() * 4); left > 0; left -= 1) {
        const step = model.step()
        if (step.comes !== undefined || step.goes !== undefined) continue
        history.push(step.what)
        control.source.apply(step.change())
      }
      await control.start()
      continue
    }
    const step = model.step()
    history.push(step.what)
    if (step.goes !== undefined) await endLoad(step.goes)
    control.source.apply(step.change())
    if (step.comes !== undefined) {
      await inSync()
      ask(step.comes)
    }
    // At times a burst, at times each on its own.
    if (random() < 0.5) await delay(random() * 150)
    if (random() < 0.1) await inSync()
  }
  await inSync()
  for (const host of [...loads.keys()]) await endLoad(host)
  const failures = reports.flatMap(report => report.failures)
  const told = `seed ${seed}, ${history.length} steps, the last: ${history.slice(-12).join('; ')}`
  expect(failures, told).toEqual([])
  const answered = reports.reduce((sum, { ok }) => sum + ok, 0)
  console.log(
    `churn (${virtualHosts}): ${history.length} steps, ${answered} requests, none failed, seed ${seed}`,
  )
  expect(answered).toBeGreaterThan(100)

  await eventuallyHolds('Envoy to have the last state and nothing warming', async () => {
    const { body } = await admin.ask('/config_dump?resource=dynamic_warming_clusters')
    expect(body).not.toContain('warming_clusters"')
    expect([...(await admin.clusters()).keys()].filter(name => name !== '_xds').sort()).toEqual(
      model.clusters,
    )
  })
  expect(control.status?.nacks).toEqual([])
}

const timeout = seconds * 1_000 + 90_000

test(
  'X20 no request fails while services, clusters, subsets, routes and endpoints change at random',
  () => churn('inline'),
  timeout,
)

test(
  'X20 no request fails while virtual hosts that come one by one change with all else',
  () => churn('one by one'),
  timeout,
)
