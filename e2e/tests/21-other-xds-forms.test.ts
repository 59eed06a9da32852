/**
 * Envoy in the forms of xDS that the sidecars of Waymark do not use. Mostly over MemorySource: where Envoy finds routes
 * and endpoints stands in the resources.
 */
import { request } from 'node:http'
import { text } from 'node:stream/consumers'
import { freePorts } from '@waymark/deploy/local/ports.ts'
import { expect, onTestFinished, test } from 'vitest'
import { ControlServer } from '../harness/control-server.ts'
import { eventually, eventuallyHolds } from '../harness/eventually.ts'
import { launchFormEnvoy, startFormEnvoy } from '../harness/form-envoy.ts'
import { Load } from '../harness/load.ts'
import { startPlainApp } from '../harness/plain-app.ts'
import { startTestMesh } from '../harness/story.ts'
import { SmallMesh, type SmallMeshOptions } from '../harness/small-mesh.ts'
import { configSourceOf, type XdsForm } from '../harness/xds-form.ts'

interface Reply {
  readonly status: number
  /** Who answered; undefined: Envoy itself. */
  readonly app: string | undefined
}

const ask = (port: number, host: string): Promise<Reply> =>
  new Promise((resolve, reject) => {
    const call = request({ host: '127.0.0.1', port, agent: false, headers: { host } }, response => {
      const { statusCode = 0, headers } = response
      const app = headers['x-instance']
      text(response).then(() => {
        resolve({ status: statusCode, app: typeof app === 'string' ? app : undefined })
      }, reject)
    })
    call.on('error', reject)
    call.end()
  })

/** Two applications, a server that both hosts `a` and `b` are served by, and an Envoy that has them. */
const start = async ({
  form,
  heartbeats = false,
  ...options
}: { form: XdsForm; heartbeats?: boolean } & Omit<SmallMeshOptions, 'port' | 'source'>) => {
  const [first, second] = await Promise.all([startPlainApp(), startPlainApp()])
  for (const app of [first, second]) onTestFinished(app.stop)
  const [xdsPort = 0, port = 0] = await freePorts(2)
  const mesh = new SmallMesh({ port, source: configSourceOf(form), ...options })
  const control = new ControlServer({ port: xdsPort, heartbeats })
  const apply = () => control.source.apply(mesh.change())
  mesh.clusters.set('a', { port: first.port, connect: '1s' })
  mesh.hosts.set('a', 'a')
  apply()
  await control.start()
  onTestFinished(() => control.stop())
  const admin = await startFormEnvoy(form, { xds: xdsPort, listeners: [port] })
  const answers = (host: string, reply: Partial<Reply>) =>
    eventuallyHolds(`${host} to be answered so`, async () => {
      expect(await ask(port, host)).toMatchObject(reply)
    })
  const clusters = async () => [...(await admin.clusters()).keys()].filter(name => name !== '_xds').sort()
  return { first, second, port, mesh, control, apply, admin, answers, clusters }
}

const story = async (form: XdsForm): Promise<void> => {
  const { first, second, port, mesh, control, apply, admin, answers, clusters } = await start({ form })
  const from = ({ port: app }: { readonly port: number }) => ({ status: 200, app: String(app) })
  await answers('a', from(first))
  expect(control.counters.streams > 1).toBe(form.services === 'separate')
  const load = Load.start({ port, authority: 'a', perSecond: 40, clients: 2 })

  mesh.clusters.set('a', { port: first.port, connect: '2s' })
  apply()
  await eventuallyHolds('the changed cluster to be warm', async () => {
    const { body } = await admin.ask('/config_dump')
    expect(body).toContain('"connect_timeout": "2s"')
    expect(body).not.toContain('"dynamic_warming_clusters"')
  })
  mesh.clusters.set('a', { port: second.port, connect: '2s' })
  apply()
  await answers('a', from(second))

  mesh.clusters.set('b', { port: first.port, connect: '1s' })
  mesh.hosts.set('b', 'b')
  apply()
  await answers('b', from(first))

  // On one stream a cluster can be renamed at once. On streams of their own nothing holds types in an order.
  mesh.clusters.set('c', { port: first.port, connect: '1s' })
  if (form.services === 'separate') {
    apply()
    await eventuallyHolds('the new cluster', async () => {
      expect(await clusters()).toEqual(['a', 'b', 'c'])
    })
    mesh.hosts.set('a', 'c')
    apply()
    await answers('a', from(first))
  }
  mesh.hosts.set('a', 'c')
  mesh.clusters.delete('a')
  apply()
  await answers('a', from(first))
  await eventuallyHolds('the old cluster to be gone', async () => {
    expect(await clusters()).toEqual(['b', 'c'])
  })

  await control.stop()
  mesh.clusters.set('c', { port: second.port, connect: '1s' })
  apply()
  await control.start()
  await answers('a', from(second))
  mesh.hosts.delete('b')
  mesh.clusters.delete('b')
  apply()
  await answers('b', { status: 404 })
  await eventuallyHolds('the second cluster to be gone', async () => {
    expect(await clusters()).toEqual(['c'])
  })
  const { failures, ok } = await load.stop()
  expect(failures).toEqual([])
  expect(ok).toBeGreaterThan(0)
  await eventually('everything to be ACKed', () => control.status?.inSync)
  expect(control.status?.nacks).toEqual([])
}

test('X24 Envoy lives with state of the world on one stream', () =>
  story({ protocol: 'state of the world', services: 'aggregated' }))

test('X24 Envoy lives with state of the world from the separate services', () =>
  story({ protocol: 'state of the world', services: 'separate' }))

test('Envoy lives with delta from the separate services', () =>
  story({ protocol: 'delta', services: 'separate' }))

test('X22 a cluster with a TTL stays while the server beats, goes when it stops, and comes back with it', async () => {
  const { first, control, answers, admin, clusters } = await start({
    form: { protocol: 'delta', services: 'aggregated' },
    heartbeats: true,
    clusterTtlMs: 2_000,
  })
  const reply = { status: 200, app: String(first.port) }
  await answers('a', reply)
  // Three to a TTL: it would have run out twice.
  const sent = control.counters.responses
  await eventually('seven heartbeats', () => control.counters.responses >= sent + 7)
  expect(
    (await admin.stats('^cluster_manager.cluster_removed$')).get('cluster_manager.cluster_removed'),
  ).toBe(0)
  await control.stop()
  await eventuallyHolds('the cluster to run out', async () => {
    expect(await clusters()).toEqual([])
  })
  await answers('a', { status: 503 })
  await control.start()
  await answers('a', reply)
})

/** Envoy takes virtual hosts (VHDS) over delta only, so that a sidecar cannot live with anything else. */
test('a sidecar that asks the mesh for state of the world is refused, and never gets ready', async () => {
  const mesh = await startTestMesh({ replicas: 1 })
  const { xds, url } = mesh.replica(0).process
  const { admin } = await launchFormEnvoy(
    { protocol: 'state of the world', services: 'aggregated' },
    { xds: xds.port },
  )
  await eventually('the refusal to be counted', async () => {
    const metrics = await (await fetch(`${url}/metrics`)).text()
    return /^waymark_xds_refused_total\{.*reason="invalid".*\} [1-9]/m.test(metrics)
  })
  expect(await admin.isReady()).toBe(false)
})
