import { setTimeout as delay } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { eventually } from '../harness/eventually.ts'
import { startTestMesh } from '../harness/story.ts'
import type { TestMesh } from '../harness/test-mesh.ts'
import { Watcher } from '../harness/watcher.ts'
import { XdsClient } from '../harness/xds-client.ts'
import { simulatedNode } from '../harness/xds-node.ts'
import { XdsTap } from '../harness/xds-tap.ts'

/** One tap in front of each replica: all sidecars go through them. */
const startTaps = async (mesh: TestMesh): Promise<XdsTap[]> => {
  const ports = await mesh.ports(mesh.replicas.length)
  const taps = await Promise.all(
    mesh.replicas.map(({ process }, index) => XdsTap.start({ port: ports[index] ?? 0, target: process.xds })),
  )
  for (const tap of taps) mesh.onClose(() => tap.stop())
  return taps
}

/** Registers the same instance with other metadata again and again, at whatever replica answers. */
const keepChanging = (mesh: TestMesh): { stop(): Promise<number> } => {
  const abort = new AbortController()
  const changing = (async () => {
    let accepted = 0
    for (let turn = 0; !abort.signal.aborted; turn += 1) {
      const { api } = mesh.replica(turn % mesh.replicas.length)
      const body = { address: '127.0.0.1', port: 9, lease: null, metadata: { turn: String(turn) } }
      await api.register('noise', 'noise-1', body).then(
        () => (accepted += 1),
        () => undefined,
      )
      await delay(20)
    }
    return accepted
  })()
  return {
    stop: () => {
      abort.abort()
      return changing
    },
  }
}

it('kill -9 of a replica costs no request and no resource byte, and loses or doubles no change', async () => {
  const mesh = await startTestMesh()
  const taps = await startTaps(mesh)
  const controlPlane = taps.map(({ port }) => ({ host: '127.0.0.1', port }))
  await mesh.api.register('noise', 'noise-1', { address: '127.0.0.1', port: 9, lease: null })
  const orders = await mesh.instance({ service: 'orders', id: 'orders-1', controlPlane })
  const others = [
    await mesh.instance({ service: 'payments', id: 'payments-1', controlPlane }),
    await mesh.instance({ service: 'payments', id: 'payments-2', controlPlane }),
  ]
  const nodes = [orders, ...others].map(({ node }) => node).sort()
  await mesh.reaches(orders, 'payments', ['payments-1', 'payments-2'])
  await eventually('all to be in sync', async () => {
    const { sidecars } = await mesh.api.sidecars()
    return sidecars.length === nodes.length && sidecars.every(({ inSync }) => inSync)
  })

  const watchers = mesh.replicas.map(({ api }, index) => {
    const urls = [api.url, mesh.replica(1 - index).api.url]
    return new Watcher({ urls, after: 0 })
  })
  for (const watcher of watchers) mesh.onClose(() => watcher.stop())
  const changes = keepChanging(mesh)
  mesh.onClose(() => changes.stop())
  const load = orders.load({ authority: 'payments', perSecond: 200, clients: 16 })
  await eventually(
    'changes and answers',
    () => load.report().ok > 100 && (watchers[0]?.sets.length ?? 0) > 10,
  )

  // The replica that serves the caller dies.
  const serving = (await mesh.api.sidecar(orders.node)).replica
  const index = mesh.replicas.findIndex(({ name }) => name === serving)
  const survivor = mesh.replica(1 - index)
  const tap = taps[1 - index]
  if (tap === undefined) throw new Error('every replica has a tap')
  const before = { responses: tap.responses.length, requests: tap.requests.length }
  const firstBytes = taps
    .flatMap(({ responses }) => responses)
    .reduce((sum, one) => sum + one.resourceBytes, 0)
  expect(firstBytes).toBeGreaterThan(1_000)
  await mesh.replica(index).process.kill()
  const at = load.report().ok

  await eventually('all sidecars to be at the other replica', async () => {
    const { sidecars } = await survivor.api.sidecars()
    const here = sidecars.filter(({ replica, inSync }) => replica === survivor.name && inSync)
    return JSON.stringify(here.map(({ node }) => node).sort()) === JSON.stringify(nodes)
  })
  await eventually('more answers', () => load.report().ok > at + 200)
  await changes.stop()

  // What those who came over said and got, as it went over the wire.
  const told = tap.requests.slice(before.requests).filter(({ initialVersions }) => initialVersions > 0)
  const idOf = ({ connection, stream }: { connection: number; stream: number }) => `${connection}/${stream}`
  // Their connections may be older: load reports may have gone there.
  const newcomers = new Set(told.map(idOf))
  expect(new Set(told.map(({ type }) => type))).toEqual(new Set(['CDS', 'EDS', 'LDS', 'RDS', 'VHDS']))
  const responses = tap.responses.slice(before.responses).filter(response => newcomers.has(idOf(response)))
  expect(responses.filter(({ resourceBytes }) => resourceBytes > 0)).toEqual([])
  expect(responses.flatMap(({ removed }) => removed)).toEqual([])

  // Both watchers have every change once, in order, although one of them had to go elsewhere.
  const log = await survivor.api.changes()
  const head = log.at(-1)?.revision ?? 0
  await eventually('the watchers to catch up', () =>
    watchers.every(({ revisions }) => revisions.at(-1) === head),
  )
  for (const watcher of watchers) expect(watcher.sets).toEqual(log)
  expect(watchers.map(({ connections }) => connections).sort()).toEqual([1, 2])
  expect(log.map(({ revision }) => revision)).toEqual(Array.from({ length: head }, (_, step) => step + 1))

  const report = await load.stop()
  expect(report.failed, JSON.stringify(report)).toBe(0)
})

it('50 simulated sidecars go to the other replica, say what they hold, and get nothing but what changes', async () => {
  const mesh = await startTestMesh()
  const { process: doomed } = mesh.replica(0)
  const survivor = mesh.replica(1)
  const at = (weight: number) => ({ address: '127.0.0.1', port: 9, lease: null, weight })
  for (const service of ['orders', 'payments', 'stock'])
    await mesh.api.register(service, `${service}-1`, at(1))
  const address = ({ host, port }: { readonly host: string; readonly port: number }): string =>
    `${host}:${port}`
  const nodes = Array.from({ length: 50 }, (_, index) =>
    simulatedNode({ service: 'web', instance: `web-${index}` }),
  )
  const before = nodes.map(node => new XdsClient({ address: address(doomed.xds), node }))
  mesh.onClose(() => Promise.all(before.map(client => client.close())))
  await Promise.all(before.map(({ configured }) => configured))
  for (const { resources, resourceBytes } of before) {
    // Three clusters with their endpoints and virtual hosts, the virtual host of unknown hosts, the listener, its
    // routes; the inbound listener needs a registration.
    expect(resources).toBe(12)
    expect(resourceBytes).toBeGreaterThan(500)
  }

  await doomed.kill()
  await Promise.all(before.map(({ ended }) => ended))
  const after = before.map((client, index) => {
    const node = nodes[index] ?? simulatedNode({ service: 'web', instance: 'nobody' })
    return new XdsClient({ address: address(survivor.process.xds), node, held: client.held() })
  })
  mesh.onClose(() => Promise.all(after.map(client => client.close())))
  await eventually('all to be in sync at the other replica', async () => {
    const { sidecars } = await survivor.api.sidecars()
    const here = sidecars.filter(({ replica, inSync }) => replica === survivor.name && inSync)
    return here.length === nodes.length
  })
  expect(after.map(({ resourceBytes }) => resourceBytes)).toEqual(nodes.map(() => 0))

  await survivor.api.register('payments', 'payments-1', at(2))
  await eventually('the change to reach all', () => after.every(({ resources }) => resources > 0))
  expect(after.map(({ resources }) => resources)).toEqual(nodes.map(() => 1))
})
