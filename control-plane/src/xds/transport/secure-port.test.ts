import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createConnection } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect as connectTls } from 'node:tls'
import { credentials, Metadata } from '@grpc/grpc-js'
import {
  LoadReportingServiceClient,
  LoadStatsRequest,
} from '@envoyproxy/protos/envoy/service/load_stats/v3/lrs.ts'
import {
  ClientStatusDiscoveryServiceClient,
  ClientStatusRequest,
} from '@envoyproxy/protos/envoy/service/status/v3/csds.ts'
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest'
import { newToken, type TokenEntry } from '../../domain/access-token.ts'
import { systemClock, type Clock } from '../../runtime/clock.ts'
import { silentLogger, type Logger } from '../../runtime/logger.ts'
import { ReloadedFiles } from '../../runtime/reloaded-files.ts'
import { ClientStatusService } from '../client-status/client-status-service.ts'
import { LoadBook } from '../load-reports/load-book.ts'
import { LoadReportService } from '../load-reports/load-report-service.ts'
import { MemorySource } from '../memory-source.ts'
import type { ClientAccess } from '../testing/delta-client.ts'
import { resource, ServerFixture } from '../testing/server-fixture.ts'
import { TestAuthority, type TestCertificate } from '../testing/test-certificates.ts'
import { clusterType, secretType } from '../type-urls.ts'
import { AuthorizedSource } from './authorizer-source.ts'
import { TokenBook } from './authorizer-tokens.ts'
import { Authorizer } from './authorizer.ts'
import { openTls } from './tls-material.ts'

const server = { dns: ['localhost'], ips: ['127.0.0.1'] }
const spiffeId = (service: string) => `spiffe://mesh.test/service/${service}`

let folder: string
let roots: TestAuthority
let others: TestAuthority
let own: TestCertificate
let web: TestCertificate
let orders: TestCertificate
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'waymark-tls-'))
  ;[roots, others] = await Promise.all([TestAuthority.create(), TestAuthority.create('Other root')])
  own = await roots.issue(server)
  web = await roots.issue({ uris: [spiffeId('web')] })
  orders = await roots.issue({ uris: [spiffeId('orders')] })
})
afterAll(() => rm(folder, { recursive: true }))

/** Counts what is logged, by message. */
class CountingLogger implements Logger {
  readonly messages = new Map<string, number>()
  readonly texts: string[] = []
  readonly debug = this.#note.bind(this)
  readonly info = this.#note.bind(this)
  readonly warn = this.#note.bind(this)
  readonly error = this.#note.bind(this)

  child(): Logger {
    return this
  }

  #note(fields: object, message: string): void {
    this.messages.set(message, (this.messages.get(message) ?? 0) + 1)
    this.texts.push(`${message} ${JSON.stringify(fields)}`)
  }
}

let files = 0
/** A folder of its own with the certificate of a server and the roots of its clients. */
const tlsFiles = async (
  certificate: TestCertificate,
  clientCa: string | null,
  logger: Logger = silentLogger,
) => {
  files += 1
  const path = (name: string) => join(folder, `${files}-${name}`)
  const paths = { certificate: path('tls.crt'), key: path('tls.key'), clientCa: path('ca.crt') }
  const write = async (next: TestCertificate, ca: string | null) => {
    await writeFile(paths.certificate, next.certificate)
    await writeFile(paths.key, next.key)
    if (ca !== null) await writeFile(paths.clientCa, ca)
  }
  await write(certificate, clientCa)
  const options = { files: { ...paths, clientCa: clientCa === null ? null : paths.clientCa }, logger }
  return { paths, write, tls: await openTls({ ...options, clock: systemClock }) }
}

const clusters = { typeUrl: clusterType }
const trusted = (): ClientAccess => ({ ca: roots.pem })

describe('TLS on the port', () => {
  it('serves over TLS, and nobody in plain text', async () => {
    const { tls } = await tlsFiles(own, null)
    await using fixture = await ServerFixture.start({ tls })
    fixture.put(resource(clusterType, 'a'))
    const client = fixture.connect('web/1', trusted())
    client.send(clusters)
    expect((await client.take()).resources.map(({ name }) => name)).toEqual(['a'])

    const plain = fixture.connect('web/2')
    plain.send(clusters)
    expect((await plain.ended).code).toBe(14)
    const stranger = fixture.connect('web/3', { ca: others.pem })
    stranger.send(clusters)
    expect((await stranger.ended).code).toBe(14)
    expect(fixture.server.counters.opened).toBe(1)
  })

  it.each([
    ['TLSv1.1', 'ERR_SSL'],
    ['TLSv1.2', undefined],
    ['TLSv1.3', undefined],
  ] as const)('%s: %s', async (version, error) => {
    const { tls } = await tlsFiles(own, null)
    await using fixture = await ServerFixture.start({ tls })
    const { port } = fixture.address
    const seen = await new Promise<string | undefined>(resolve => {
      const socket = connectTls({
        port,
        host: '127.0.0.1',
        ca: roots.pem,
        ALPNProtocols: ['h2'],
        minVersion: version,
        maxVersion: version,
        // Else the client itself refuses the old version.
        ciphers: 'DEFAULT@SECLEVEL=0',
      })
      socket.once('secureConnect', () => {
        expect(socket.getProtocol()).toBe(version)
        resolve(undefined)
        socket.destroy()
      })
      socket.once('error', (reason: Error & { readonly code?: string }) => {
        resolve(reason.code?.slice(0, 7) ?? reason.message)
      })
    })
    expect(seen).toBe(error)
  })

  it('takes changed files for new connections, and drops none', async () => {
    const logger = new CountingLogger()
    const { tls, write, paths } = await tlsFiles(own, null, logger)
    await using fixture = await ServerFixture.start({ tls })
    fixture.put(resource(clusterType, 'a'))
    const before = fixture.connect('web/1', trusted())
    before.send(clusters)
    await before.take()

    await write(await others.issue(server), null)
    await tls.check()
    const after = fixture.connect('web/2', { ca: others.pem })
    after.send(clusters)
    await after.take()
    const late = fixture.connect('web/3', trusted())
    late.send(clusters)
    expect((await late.ended).code).toBe(14)

    // What is no good changes nothing, and is told once.
    const problem = 'changed files are no good; what was loaded before stays'
    for (const [index, broken] of [
      'no certificate',
      own.certificate,
      (await others.issue({ ...server, expired: true })).certificate,
    ].entries()) {
      await writeFile(paths.certificate, broken)
      await tls.check()
      await tls.check()
      expect(logger.messages.get(problem)).toBe(index + 1)
    }
    const still = fixture.connect('web/4', { ca: others.pem })
    still.send(clusters)
    await still.take()
    fixture.put(resource(clusterType, 'b'))
    expect((await before.take()).resources.map(({ name }) => name)).toEqual(['b'])
    expect(logger.texts.join()).not.toContain('PRIVATE KEY')
  })

  it('does not start with files that are no good', async () => {
    await expect(tlsFiles({ ...own, key: web.key }, null)).rejects.toThrow(/key values mismatch/i)
    await expect(tlsFiles(own, 'none')).rejects.toThrow('the client CA file holds no PEM certificate')
  })

  it('cuts off at the end who has not finished the handshake', async () => {
    const { tls } = await tlsFiles(own, null)
    await using fixture = await ServerFixture.start({ tls })
    const socket = createConnection(fixture.address.port, '127.0.0.1')
    const closed = new Promise(resolve => socket.once('close', resolve))
    await new Promise(resolve => socket.once('connect', resolve))
    await fixture.stop()
    await closed
  })
})

/** A server with TLS that asks everybody who they are. */
const guarded = async (options: { entries?: readonly TokenEntry[]; clock?: Clock; logger?: Logger } = {}) => {
  const { tls } = await tlsFiles(own, roots.pem)
  const tokensFile = join(folder, `${files}-tokens.json`)
  const { clock = systemClock, logger = silentLogger } = options
  const put = (entries: readonly TokenEntry[]) => writeFile(tokensFile, JSON.stringify(entries))
  await put(options.entries ?? [])
  const tokens = await ReloadedFiles.open({
    name: 'tokens',
    paths: [tokensFile],
    clock,
    logger,
    parse: ([content]) => TokenBook.parse(String(content)),
  })
  const authorizer = new Authorizer({
    tokens: () => tokens.value,
    trustDomain: 'mesh.test',
    now: () => clock.now(),
  })
  const source = new MemorySource({ ownerOf: ({ id }) => id.split('/')[0] ?? '' })
  const access = new AuthorizedSource({
    source,
    authorizer,
    serviceOf: ({ id }) => id.split('/')[0],
    clock,
    logger,
  })
  const services = [
    new LoadReportService({
      book: new LoadBook({ clock }),
      source: access,
      clock,
      logger,
      intervalMs: 60_000,
    }),
    new ClientStatusService({
      clients: () => [],
      clock,
      authorize: peer => {
        access.authorizeAll(peer)
      },
    }),
  ]
  const fixture = await ServerFixture.start({ tls, source, guard: () => access, logger, services })
  return { fixture, access, put, tokens }
}

const statusOf = async (fixture: ServerFixture, node: string, access: ClientAccess): Promise<number> => {
  const client = fixture.connect(node, { ...trusted(), ...access })
  client.send(clusters)
  return Promise.race([client.take().then(() => 0), client.ended.then(({ code }) => code)])
}

const inAnHour = () => systemClock.now() + 3_600_000

test('X25 a stream gets what is of its node with a certificate or a token of its service, and nothing else', async () => {
  const { token, entry } = newToken({ services: ['payments'], expiresAt: inAnHour() })
  const { fixture, access } = await guarded({ entries: [entry] })
  await using _ = fixture
  expect(await statusOf(fixture, 'web/1', { certificate: web })).toBe(0)
  expect(await statusOf(fixture, 'payments/1', { token })).toBe(0)
  expect(access.counters).toEqual({ unauthenticated: 0, denied: 0, revoked: 0 })

  expect(await statusOf(fixture, 'orders/1', { certificate: web })).toBe(7)
  expect(await statusOf(fixture, 'web/1', { token })).toBe(7)
  expect(await statusOf(fixture, 'web/1', {})).toBe(16)
  expect(await statusOf(fixture, 'payments/1', { token: `${token}x` })).toBe(16)
  expect(access.counters).toEqual({ unauthenticated: 2, denied: 2, revoked: 0 })
  expect(fixture.server.counters.refused).toBe(4)
  // Neither the certificate of another authority nor one that is over gets through the handshake.
  const foreign = await others.issue({ uris: [spiffeId('web')] })
  const over = await roots.issue({ uris: [spiffeId('web')], expired: true })
  const opened = fixture.server.counters.opened
  expect(await statusOf(fixture, 'web/1', { certificate: foreign })).toBe(14)
  expect(await statusOf(fixture, 'web/1', { certificate: over })).toBe(14)
  expect(fixture.server.counters.opened).toBe(opened)
})

test('X25 a sidecar never gets the secret of another identity', async () => {
  const { fixture } = await guarded()
  await using _ = fixture
  const secret = (owner: string) => ({ ...resource(secretType, 'leaf', `key of ${owner}`), owner })
  fixture.put(secret('web'), secret('orders'), { ...resource(secretType, 'of-orders'), owner: 'orders' })
  const client = fixture.connect('web/1', { ...trusted(), certificate: web })
  client.send({ typeUrl: secretType, resourceNamesSubscribe: ['leaf', 'of-orders'] })
  const first = await client.take()
  expect(first.resources.map(({ resource: any }) => String(any?.value))).toEqual(['key of web'])
  expect(first.removedResources).toEqual(['of-orders'])
  // Neither by asking for everything, nor when another's changes.
  const curious = fixture.connect('web/2', { ...trusted(), certificate: web })
  curious.send({ typeUrl: secretType, resourceNamesSubscribe: ['*'] })
  const all = await curious.take()
  expect(all.resources.map(({ resource: any }) => String(any?.value))).toEqual(['key of web'])
  fixture.put({ ...secret('orders'), body: Buffer.from('new key of orders') })
  expect(await client.settle()).toEqual([])
  expect(await curious.settle()).toEqual([])
  const other = fixture.connect('orders/1', { ...trusted(), certificate: orders })
  other.send({ typeUrl: secretType, resourceNamesSubscribe: ['leaf'] })
  expect((await other.take()).resources.map(({ resource: any }) => String(any?.value))).toEqual([
    'new key of orders',
  ])
})

test('X25 load reports and CSDS ask for a credential, too', async () => {
  const [one, all] = [['web'], ['*']].map(services => newToken({ services, expiresAt: inAnHour() }))
  if (one === undefined || all === undefined) throw new Error('no tokens')
  const { fixture, access, put, tokens } = await guarded({ entries: [one.entry, all.entry] })
  await using _ = fixture
  const { host, port } = fixture.address
  const channel = credentials.createSsl(Buffer.from(roots.pem))
  const csds = new ClientStatusDiscoveryServiceClient(`${host}:${port}`, channel)
  const lrs = new LoadReportingServiceClient(`${host}:${port}`, channel)
  const metadata = (token?: string) => {
    const made = new Metadata()
    if (token !== undefined) made.set('authorization', `Bearer ${token}`)
    return made
  }
  const see = (token?: string) =>
    new Promise<number>(resolve => {
      csds.fetchClientStatus(ClientStatusRequest.fromPartial({}), metadata(token), error => {
        resolve(error?.code ?? 0)
      })
    })
  expect(await Promise.all([see(), see(one.token), see(all.token)])).toEqual([16, 7, 0])

  const report = (id: string, token?: string) => {
    const call = lrs.streamLoadStats(metadata(token))
    const ended = new Promise<number>(resolve => {
      call.on('error', () => undefined)
      call.on('status', ({ code }: { code: number }) => {
        resolve(code)
      })
    })
    const asked = new Promise<number>(resolve =>
      call.once('data', () => {
        resolve(0)
      }),
    )
    const clientFeatures = ['envoy.lrs.supports_send_all_clusters']
    call.write(LoadStatsRequest.fromPartial({ node: { id, clientFeatures } }))
    return { first: Promise.race([asked, ended]), ended }
  }
  const reporting = report('web/1', one.token)
  expect(await reporting.first).toBe(0)
  expect(await report('orders/1', one.token).first).toBe(7)
  expect(await report('web/1').first).toBe(16)
  await put([])
  await tokens.check()
  await access.recheck()
  expect(await reporting.ended).toBe(16)
  csds.close()
  lrs.close()
})

test('X25 a stream ends when its token is withdrawn or expires', async () => {
  let ahead = 0
  const clock: Clock = { ...systemClock, now: () => systemClock.now() + ahead }
  const [first, second] = [1, 2].map(hours =>
    newToken({ services: ['web'], expiresAt: systemClock.now() + hours * 3_600_000 }),
  )
  if (first === undefined || second === undefined) throw new Error('no tokens')
  const { fixture, access, put, tokens } = await guarded({ entries: [first.entry, second.entry], clock })
  await using _ = fixture
  const open = async (node: string, credential: ClientAccess) => {
    const client = fixture.connect(node, { ...trusted(), ...credential })
    client.send(clusters)
    await client.take()
    return client
  }
  const withFirst = await open('web/1', { token: first.token })
  const withSecond = await open('web/2', { token: second.token })
  const withCertificate = await open('web/3', { certificate: web })

  ahead = 3_600_000
  await access.recheck()
  expect((await withFirst.ended).code).toBe(16)
  await put([])
  await tokens.check()
  await access.recheck()
  expect((await withSecond.ended).code).toBe(16)
  expect(access.counters.revoked).toBe(2)
  await access.recheck()
  expect(access.counters.revoked).toBe(2)
  expect(await withCertificate.settle()).toEqual([])
})

test('X25 refusals without end cost a bounded number of log lines, which name no token', async () => {
  const logger = new CountingLogger()
  const { fixture, access } = await guarded({ logger })
  await using _ = fixture
  const peer = { address: '10.0.0.1:1', spiffeIds: [], bearerToken: 'wmt_secret' }
  const node = { id: 'web/1', cluster: '', agent: '', metadata: undefined, clientFeatures: [] }
  for (let attempt = 0; attempt < 1_000; attempt += 1) {
    expect(() => access.open({ ...node, locality: { region: '', zone: '' } }, peer)).toThrow(
      'not known or has expired',
    )
  }
  expect(access.counters.unauthenticated).toBe(1_000)
  expect(logger.messages.get('refused a peer of the xDS port')).toBe(20)
  expect(logger.texts.join()).not.toContain('wmt_secret')
})
