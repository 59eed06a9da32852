/** Certificates between two Envoys that come over SDS on the ADS stream, from a control plane with mTLS. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect } from 'node:tls'
import { Cluster } from '@envoyproxy/protos/envoy/config/cluster/v3/cluster.ts'
import { Listener } from '@envoyproxy/protos/envoy/config/listener/v3/listener.ts'
import { HttpConnectionManager } from '@envoyproxy/protos/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.ts'
import { Secret } from '@envoyproxy/protos/envoy/extensions/transport_sockets/tls/v3/secret.ts'
import {
  DownstreamTlsContext,
  UpstreamTlsContext,
  type CommonTlsContext,
} from '@envoyproxy/protos/envoy/extensions/transport_sockets/tls/v3/tls.ts'
import { systemClock } from '@waymark/control-plane/runtime/clock.ts'
import { silentLogger } from '@waymark/control-plane/runtime/logger.ts'
import { MemorySource, type MemoryResource } from '@waymark/control-plane/xds/memory-source.ts'
import { TestAuthority, type TestCertificate } from '@waymark/control-plane/xds/testing/test-certificates.ts'
import { AuthorizedSource } from '@waymark/control-plane/xds/transport/authorizer-source.ts'
import { Authorizer } from '@waymark/control-plane/xds/transport/authorizer.ts'
import { openTls } from '@waymark/control-plane/xds/transport/tls-material.ts'
import { clusterType, listenerType, secretType } from '@waymark/control-plane/xds/type-urls.ts'
import { XdsServer } from '@waymark/control-plane/xds/xds-server.ts'
import { freePorts } from '@waymark/deploy/local/ports.ts'
import { Supervisor } from '@waymark/deploy/local/processes.ts'
import { socketAddress } from '@waymark/sidecar-config/envoy/address.ts'
import { overAds } from '@waymark/sidecar-config/envoy/ads.ts'
import { any, messageTypes } from '@waymark/sidecar-config/envoy/any.ts'
import { expect, inject, onTestFinished, test } from 'vitest'
import { eventually } from '../harness/eventually.ts'
import { Load } from '../harness/load.ts'
import { startPlainApp } from '../harness/plain-app.ts'
import { SplitSource } from '../harness/split-source.ts'
import { TestEnvoy } from '../harness/test-envoy.ts'

const id = (service: string) => `spiffe://mesh.test/service/${service}`
const services = ['a', 'b'] as const
type Service = (typeof services)[number]

const tlsTypes = 'envoy.extensions.transport_sockets.tls.v3'
const upstreamTls = {
  typeUrl: `type.googleapis.com/${tlsTypes}.UpstreamTlsContext`,
  codec: UpstreamTlsContext,
}
const downstreamTls = {
  typeUrl: `type.googleapis.com/${tlsTypes}.DownstreamTlsContext`,
  codec: DownstreamTlsContext,
}

/** Both secrets come over ADS; the other side must be `peer`. */
const commonTls = (peer: Service): CommonTlsContext => {
  const sds = overAds(15_000)
  return UpstreamTlsContext.fromPartial({
    commonTlsContext: {
      tlsParams: { tlsMinimumProtocolVersion: 4, tlsMaximumProtocolVersion: 4 },
      tlsCertificateSdsSecretConfigs: [{ name: 'leaf', sdsConfig: sds }],
      combinedValidationContext: {
        defaultValidationContext: {
          matchTypedSubjectAltNames: [{ sanType: 3, matcher: { exact: id(peer) } }],
        },
        validationContextSdsSecretConfig: { name: 'roots', sdsConfig: sds },
      },
    },
  }).commonTlsContext as CommonTlsContext
}

const dependsOn = ['leaf', 'roots'].map(name => ({ typeUrl: secretType, name }))

const cluster = (name: string, port: number, peer?: Service): MemoryResource => ({
  typeUrl: clusterType,
  name,
  ...(peer !== undefined && { dependsOn }),
  body: Cluster.encode(
    Cluster.fromPartial({
      name,
      connectTimeout: { seconds: 1 },
      loadAssignment: {
        clusterName: name,
        endpoints: [{ lbEndpoints: [{ endpoint: { address: socketAddress('127.0.0.1', port) } }] }],
      },
      ...(peer !== undefined && {
        transportSocket: {
          name: 'envoy.transport_sockets.tls',
          typedConfig: any(
            upstreamTls,
            UpstreamTlsContext.fromPartial({ sni: 'b.mesh', commonTlsContext: commonTls(peer) }),
          ),
        },
      }),
    }),
  ).finish(),
})

const listener = (port: number, to: string, peer?: Service): MemoryResource => ({
  typeUrl: listenerType,
  name: 'in',
  ...(peer !== undefined && { dependsOn }),
  body: Listener.encode(
    Listener.fromPartial({
      name: 'in',
      address: socketAddress('127.0.0.1', port),
      filterChains: [
        {
          filters: [
            {
              name: 'envoy.filters.network.http_connection_manager',
              typedConfig: any(
                messageTypes.httpConnectionManager,
                HttpConnectionManager.fromPartial({
                  statPrefix: 'in',
                  routeConfig: {
                    name: 'in',
                    virtualHosts: [
                      {
                        name: 'in',
                        domains: ['*'],
                        routes: [{ match: { prefix: '/' }, route: { cluster: to } }],
                      },
                    ],
                  },
                  httpFilters: [
                    {
                      name: 'envoy.filters.http.router',
                      typedConfig: any(messageTypes.router, messageTypes.router.codec.fromPartial({})),
                    },
                  ],
                }),
              ),
            },
          ],
          ...(peer !== undefined && {
            transportSocket: {
              name: 'envoy.transport_sockets.tls',
              typedConfig: any(
                downstreamTls,
                DownstreamTlsContext.fromPartial({
                  requireClientCertificate: true,
                  commonTlsContext: commonTls(peer),
                }),
              ),
            },
          }),
        },
      ],
    }),
  ).finish(),
})

const leafSecret = (owner: Service, { certificate, key }: TestCertificate): MemoryResource => ({
  typeUrl: secretType,
  name: 'leaf',
  owner,
  body: Secret.encode(
    Secret.fromPartial({
      name: 'leaf',
      tlsCertificate: { certificateChain: { inlineString: certificate }, privateKey: { inlineString: key } },
    }),
  ).finish(),
})

const rootsSecret = (owner: Service, roots: readonly TestAuthority[]): MemoryResource => ({
  typeUrl: secretType,
  name: 'roots',
  owner,
  body: Secret.encode(
    Secret.fromPartial({
      name: 'roots',
      validationContext: { trustedCa: { inlineString: roots.map(({ pem }) => pem).join('') } },
    }),
  ).finish(),
})

/** The control plane, its authority, and what each service gets. */
const startControl = async (directory: string) => {
  const authority = await TestAuthority.create('Control plane')
  const path = (name: string) => join(directory, name)
  const own = await authority.issue({ ips: ['127.0.0.1'] })
  await writeFile(path('tls.crt'), own.certificate)
  await writeFile(path('tls.key'), own.key)
  await writeFile(path('ca.crt'), authority.pem)
  for (const service of services) {
    const leaf = await authority.issue({ uris: [id(service)] })
    await writeFile(path(`${service}.crt`), leaf.certificate)
    await writeFile(path(`${service}.key`), leaf.key)
  }
  const source = () => new MemorySource({ ownerOf: ({ cluster: service }) => service })
  const sources = { a: source(), b: source() }
  const common = { clock: systemClock, logger: silentLogger }
  const authorizer = new Authorizer({
    tokens: () => null,
    trustDomain: 'mesh.test',
    now: () => systemClock.now(),
  })
  const files = { certificate: path('tls.crt'), key: path('tls.key'), clientCa: path('ca.crt') }
  const server = new XdsServer({
    ...common,
    source: new AuthorizedSource({
      ...common,
      source: new SplitSource(sources),
      authorizer,
      serviceOf: node => node.id.split('/')[0],
    }),
    listen: { host: '127.0.0.1', port: 0 },
    tls: await openTls({ ...common, files }),
    timings: { stopMs: 100 },
  })
  const { port } = await server.listen()
  const stop = new AbortController()
  const ended = server.start(stop.signal)
  onTestFinished(async () => {
    stop.abort()
    await ended
  })
  const security = (service: Service) => ({
    controlPlane: [{ host: '127.0.0.1', port }],
    tls: {
      caFile: path('ca.crt'),
      certificate: { certificateFile: path(`${service}.crt`), keyFile: path(`${service}.key`) },
    },
  })
  return { server, sources, security }
}

/** The issuer of B's certificate, or how it refused the client's. */
const handshake = (port: number, client: TestCertificate): Promise<string> =>
  new Promise(resolve => {
    const socket = connect(
      { port, host: '127.0.0.1', cert: client.certificate, key: client.key, rejectUnauthorized: false },
      () => {
        const issuer = String(socket.getPeerCertificate().issuer.CN)
        // With TLS 1.3 the server refuses after the client's handshake is over: an answer shows that it did not.
        socket.once('data', () => {
          resolve(issuer)
          socket.destroy()
        })
        socket.write('GET / HTTP/1.1\r\nhost: b\r\n\r\n')
      },
    )
    socket.once('error', () => {
      resolve('refused')
    })
  })

test('X23 certificates and roots are exchanged under load: no request fails, no connection ends', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'waymark-secrets-'))
  const supervisor = new Supervisor({ logDir: directory })
  onTestFinished(async () => {
    await supervisor.stopAll()
    await rm(directory, { recursive: true, force: true })
  })
  const control = await startControl(directory)
  const app = await startPlainApp()
  onTestFinished(app.stop)
  const [outbound = 0, inbound = 0, adminA = 0, adminB = 0] = await freePorts(4)

  let authority = await TestAuthority.create('First')
  const leaves = async (from: TestAuthority): Promise<MemoryResource[]> =>
    Promise.all(services.map(async name => leafSecret(name, await from.issue({ uris: [id(name)] }))))
  const put = (resources: readonly MemoryResource[]): void => {
    for (const name of services) {
      control.sources[name].apply({ put: resources.filter(({ owner }) => owner === name) })
    }
  }
  const inSync = () =>
    eventually('both sidecars to have it all', () =>
      services.every(name => {
        const status = control.server.book.stream(`${name}/${name}-1`)
        return status?.inSync === true && status.syncedRevision >= control.sources[name].revision()
      }),
    )

  control.sources.a.apply({ put: [cluster('b', inbound, 'b'), listener(outbound, 'b')] })
  control.sources.b.apply({ put: [cluster('app', app.port), listener(inbound, 'app', 'a')] })
  put([...(await leaves(authority)), ...services.map(name => rootsSecret(name, [authority]))])

  const envoy = (name: Service, adminPort: number) =>
    TestEnvoy.start({
      supervisor,
      envoy: inject('envoy'),
      directory,
      name,
      bootstrap: { service: name, instance: `${name}-1`, adminPort, ...control.security(name) },
    })
  const [a, b] = await Promise.all([envoy('a', adminA), envoy('b', adminB)])
  await Promise.all([a.ready(), b.ready()])
  await inSync()

  const load = Load.start({ port: outbound, authority: 'b', clients: 4 })
  await eventually(
    'every client to have its connection',
    async () => (await b.stat('http.in.downstream_cx_active')) >= 4,
  )
  const connections = await b.stat('http.in.downstream_cx_total')
  const answered = () => b.stat('http.in.downstream_rq_completed')
  const more = async () => {
    const before = await answered()
    await eventually('requests between two changes', async () => (await answered()) > before + 20)
  }

  for (let rotation = 0; rotation < 10; rotation += 1) {
    put(await leaves(authority))
    await inSync()
    await more()
  }
  const first = authority
  authority = await TestAuthority.create('Second')
  put(services.map(name => rootsSecret(name, [first, authority])))
  await inSync()
  put(await leaves(authority))
  await inSync()
  put(services.map(name => rootsSecret(name, [authority])))
  await inSync()
  await more()

  // New connections are made with the new ones only; the open ones are still there.
  expect(await handshake(inbound, await authority.issue({ uris: [id('a')] }))).toBe('Second')
  expect(await handshake(inbound, await first.issue({ uris: [id('a')] }))).toBe('refused')
  expect(await handshake(inbound, await authority.issue({ uris: [id('c')] }))).toBe('refused')
  const report = await load.stop()
  expect(report.failures).toEqual([])
  expect(report.failed).toBe(0)
  expect(await a.stat('cluster.b.upstream_cx_total')).toBe(connections)
  expect(await a.stat('cluster.b.upstream_cx_active')).toBe(connections)

  // Withdrawing trust leaves open connections alone, so that a revocation has to drain.
  const call = async () => (await fetch(`http://127.0.0.1:${outbound}/`)).status
  put([rootsSecret('b', [await TestAuthority.create('Third')])])
  await inSync()
  expect(await call()).toBe(200)
  await b.admin.ask('/drain_listeners?graceful&skip_exit', { method: 'POST' })
  await eventually('the sidecar without trust to be shut out', async () => (await call()) === 503)
})
