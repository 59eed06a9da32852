import { setTimeout as delay } from 'node:timers/promises'
import { freePorts } from '@waymark/deploy/local/ports.ts'
import { expect, onTestFinished, test } from 'vitest'
import { ChurnModel, type ChurnOptions } from '../harness/churn-model.ts'
import { ControlServer } from '../harness/control-server.ts'
import { eventually, eventuallyHolds } from '../harness/eventually.ts'
import { startFormEnvoy } from '../harness/form-envoy.ts'
import { Load } from '../harness/load.ts'
import { startPlainApp } from '../harness/plain-app.ts'
import { randomFrom } from '../harness/random.ts'
import type { LoadReport } from '../harness/tally.ts'
import { warmingClusters } from '../harness/warming-clusters.ts'
import type { XdsForm } from '../harness/xds-form.ts'

/** `CHURN_SECONDS=600 CHURN_SEED=7 npx vitest run --project e2e e2e/tests/17-churn.test.ts` for a long run. */
const seconds = Number(process.env['CHURN_SECONDS'] ?? 8)
const seed = Number(process.env['CHURN_SEED'] ?? Math.floor(Math.random() * 2 ** 31))

const startApp = async (): Promise<number> => {
  const app = await startPlainApp()
  onTestFinished(app.stop)
  return app.port
}

const churn = async (
  virtualHosts: ChurnOptions['virtualHosts'],
  form: XdsForm = { protocol: 'delta', services: 'aggregated' },
) => {
  const delta = form.protocol === 'delta'
  const random = randomFrom(seed)
  const apps = await Promise.all(Array.from({ length: 5 }, startApp))
  const [xdsPort = 0, port = 0] = await freePorts(2)
  const model = new ChurnModel({ random, apps, port, virtualHosts })
  const control = new ControlServer({ port: xdsPort })
  control.source.apply(model.change())
  await control.start()
  onTestFinished(() => control.stop())
  const admin = await startFormEnvoy(form, { xds: xdsPort, listeners: [port] })

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
      // In state of the world a returning client does not say what it has. So a server cannot know of a cluster that
      // is gone, and keep it until the routes to it are: nothing changes until it is back.
      if (!delta) await inSync()
      await control.stop()
      // What happens while it is away comes all at once.
      const changes = delta ? Math.floor(random() * 4) : 0
      for (let left = changes; left > 0; left -= 1) {
        const step = model.step()
        if (step.comes !== undefined || step.goes !== undefined) continue
        history.push(step.what)
        control.source.apply(step.change())
      }
      await control.start()
      if (!delta) await inSync()
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
    `churn (${virtualHosts}, ${form.protocol}): ${history.length} steps, ${answered} requests, none failed, seed ${seed}`,
  )
  expect(answered).toBeGreaterThan(100)

  await eventuallyHolds('Envoy to have the last state and nothing warming', async () => {
    expect(await warmingClusters(admin)).toEqual([])
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

test(
  'X20 X24 no request fails at random changes over state of the world on ADS',
  () => churn('inline', { protocol: 'state of the world', services: 'aggregated' }),
  timeout,
)
