/** Sidecars and a control plane that know each other, and what a sidecar does when a replica is gone. */
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { newToken } from '@waymark/control-plane/domain/access-token.ts'
import { systemClock } from '@waymark/control-plane/runtime/clock.ts'
import { TestAuthority, type TestCertificate } from '@waymark/control-plane/xds/testing/test-certificates.ts'
import { expect, inject, onTestFinished, test } from 'vitest'
import { eventually } from '../harness/eventually.ts'
import { startTestMesh } from '../harness/story.ts'
import { TestEnvoy, type TestEnvoyOptions } from '../harness/test-envoy.ts'
import type { Replica, TestMesh } from '../harness/test-mesh.ts'

const startEnvoy = (mesh: TestMesh, name: string, bootstrap: TestEnvoyOptions['bootstrap']) =>
  TestEnvoy.start({
    supervisor: mesh.supervisor,
    envoy: inject('envoy'),
    directory: join(mesh.directory, 'sidecars'),
    name,
    bootstrap,
  })

const metric = async ({ process }: Replica, series: string): Promise<number> => {
  const text = await (await process.ask('/metrics')).text()
  // Without labels: all series of the name.
  const lines = text.split('\n').filter(one => one.startsWith(`${series} `) || one.startsWith(`${series}{`))
  return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0)
}

const denied = (replica: Replica, reason: string) =>
  metric(replica, `waymark_xds_denied_total{reason="${reason}"}`)

const registerAt = (replica: Replica, service: string) =>
  replica.api.register(service, `${service}-1`, { address: '127.0.0.1', port: 1, lease: null })

const hears = (envoy: TestEnvoy, service: string) =>
  eventually(
    `${envoy.process.name} to hear of ${service}`,
    async () => (await envoy.admin.clusters()).has(service),
    40_000,
  )

test('X25 a sidecar is served with its certificate or token, and follows new ones without a restart', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'waymark-secure-'))
  onTestFinished(() => rm(directory, { recursive: true, force: true }))
  const path = (name: string) => join(directory, name)
  /** As an operator should: whoever reads sees the old file or the new one. */
  const replace = async (name: string, content: string) => {
    await writeFile(path(`${name}.next`), content)
    await rename(path(`${name}.next`), path(name))
  }
  const replacePair = async (name: string, { certificate, key }: TestCertificate) => {
    await replace(`${name}.key`, key)
    await replace(`${name}.crt`, certificate)
  }
  const [first, second] = await Promise.all([TestAuthority.create('First'), TestAuthority.create('Second')])
  const web = { uris: ['spiffe://mesh.test/service/web'] }
  const server = { ips: ['127.0.0.1'] }
  const tokens = [1, 2].map(() =>
    newToken({ services: ['orders'], expiresAt: systemClock.now() + 3_600_000 }),
  )
  await replacePair('server', await first.issue(server))
  await replacePair('web', await first.issue(web))
  await replace('ca.crt', first.pem)
  await replace('token', tokens[0]?.token ?? '')
  await replace('tokens.json', JSON.stringify([tokens[0]?.entry]))

  const mesh = await startTestMesh({
    replicas: 1,
    env: {
      WAYMARK_XDS_TLS_CERT: path('server.crt'),
      WAYMARK_XDS_TLS_KEY: path('server.key'),
      WAYMARK_XDS_CLIENT_CA: path('ca.crt'),
      WAYMARK_XDS_TOKENS_FILE: path('tokens.json'),
      WAYMARK_TRUST_DOMAIN: 'mesh.test',
    },
  })
  const replica = mesh.replica(0)
  const ports = await mesh.ports(12)
  const sidecar = async (name: string, security: Partial<TestEnvoyOptions['bootstrap']>) => {
    const [adminPort = 0, outboundPort = 0, inboundPort = 0] = ports.splice(0, 3)
    const service = name.split('-')[0] ?? ''
    return startEnvoy(mesh, name, {
      service,
      instance: name,
      controlPlane: [replica.process.xds],
      adminPort,
      outboundPort,
      inboundPort,
      ...security,
    })
  }
  const caFile = path('ca.crt')
  const certificate = { certificateFile: path('web.crt'), keyFile: path('web.key') }
  const withCertificate = await sidecar('web-1', { tls: { caFile, certificate } })
  const withToken = await sidecar('orders-1', { tls: { caFile }, tokenFile: path('token') })
  await Promise.all([withCertificate.ready(), withToken.ready()])
  expect(await denied(replica, 'denied')).toBe(0)

  const thief = await sidecar('orders-2', { tls: { caFile, certificate } })
  const nobody = await sidecar('web-2', { tls: { caFile } })
  await eventually('both strangers to be refused', async () => {
    return (await denied(replica, 'denied')) > 0 && (await denied(replica, 'unauthenticated')) > 0
  })
  for (const stranger of [thief, nobody]) {
    expect(await stranger.admin.isReady()).toBe(false)
    expect(await stranger.stat('cluster_manager.active_clusters')).toBe(1)
    await stranger.process.stop()
  }

  // Everything is exchanged: roots first, for both sides, then certificates and the token.
  await replace('ca.crt', first.pem + second.pem)
  await replacePair('web', await second.issue(web))
  await replacePair('server', await second.issue(server))
  await replace('token', tokens[1]?.token ?? '')
  await replace('tokens.json', JSON.stringify([tokens[1]?.entry]))
  await eventually('the stream of the old token to end', async () => {
    return (await denied(replica, 'revoked')) > 0
  })
  await registerAt(replica, 'payments')
  await Promise.all([hears(withCertificate, 'payments'), hears(withToken, 'payments')])
  // The stream of the certificate lives on, with what it began with; a new one is made with the new certificate.
  await replica.process.stop()
  await replica.process.start()
  await registerAt(replica, 'ledger')
  await Promise.all([hears(withCertificate, 'ledger'), hears(withToken, 'ledger')])
})

test('a sidecar goes to another replica when its own is killed, past addresses where nobody is', async () => {
  const mesh = await startTestMesh({ replicas: 2 })
  const [dead = 0, adminPort = 0, outboundPort = 0, inboundPort = 0, readyPort = 0, prometheusPort = 0] =
    await mesh.ports(6)
  const envoy = await startEnvoy(mesh, 'web-1', {
    service: 'web',
    instance: 'web-1',
    controlPlane: [{ host: '127.0.0.1', port: dead }, ...mesh.replicas.map(({ process }) => process.xds)],
    adminPort,
    outboundPort,
    inboundPort,
    readyPort,
    prometheusPort,
  })
  await envoy.ready()
  const held = await Promise.all(mesh.replicas.map(replica => metric(replica, 'waymark_xds_streams')))
  expect([...held].sort()).toEqual([0, 1])
  const [own, other] = held[0] === 1 ? mesh.replicas : [...mesh.replicas].reverse()
  if (own === undefined || other === undefined) throw new Error('there are two replicas')
  await own.process.kill()
  await registerAt(other, 'payments')
  await hears(envoy, 'payments')

  // What the sidecar shows to others is two paths of its admin port, and nothing that changes it.
  const ask = async (port: number, path: string, method = 'GET') =>
    (await fetch(`http://127.0.0.1:${port}${path}`, { method })).status
  expect(await ask(readyPort, '/ready')).toBe(200)
  expect(await ask(prometheusPort, '/metrics')).toBe(200)
  for (const port of [readyPort, prometheusPort]) {
    expect(await ask(port, '/ready', 'POST')).toBe(404)
    expect(await ask(port, '/stats')).toBe(404)
    expect(await ask(port, '/config_dump')).toBe(404)
    expect(await ask(port, '/quitquitquit', 'POST')).toBe(404)
  }
  await envoy.admin.ask('/healthcheck/fail', { method: 'POST' })
  expect(await ask(readyPort, '/ready')).toBe(503)
})
