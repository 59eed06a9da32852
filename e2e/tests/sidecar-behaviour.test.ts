/**
 * What a sidecar's configuration makes a real Envoy do, without a control plane: the resources are static. Three
 * Envoys: the caller's, and one before each of two instances.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import {
  createServer,
  request,
  type IncomingHttpHeaders,
  type RequestListener,
  type Server,
  type ServerResponse,
} from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePorts } from '@waymark/deploy/local/ports.ts'
import { Supervisor } from '@waymark/deploy/local/processes.ts'
import { buildCluster } from '@waymark/sidecar-config/envoy/cluster.ts'
import { buildEndpoints } from '@waymark/sidecar-config/envoy/endpoints.ts'
import { buildInboundCluster, buildInboundListener } from '@waymark/sidecar-config/envoy/inbound.ts'
import { buildOutboundListener } from '@waymark/sidecar-config/envoy/outbound.ts'
import {
  packCluster,
  packEndpoints,
  packListener,
  packRoutes,
  packVirtualHost,
} from '@waymark/sidecar-config/envoy/resource.ts'
import {
  buildOutboundRoutes,
  buildUnknownHost,
  buildVirtualHost,
} from '@waymark/sidecar-config/envoy/routes.ts'
import { parseDocument } from '@waymark/sidecar-config/model/document.ts'
import { effectivePolicy } from '@waymark/sidecar-config/model/effective-policy.ts'
import {
  clusterPolicyOf,
  routePolicyOf,
  type TrafficSettings,
} from '@waymark/sidecar-config/model/traffic-settings.ts'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { eventually } from '../harness/eventually.ts'
import {
  staticBootstrap,
  unpacked,
  withEndpoints,
  withHosts,
  withRoutes,
  type Json,
} from '../harness/static-bootstrap.ts'

interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

interface Call {
  readonly port: number
  readonly host?: string
  readonly path?: string
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
}

const call = ({ port, host, path = '/', method = 'GET', headers }: Call) =>
  new Promise<Answer>((resolve, reject) => {
    const options = { host: '127.0.0.1', port, path, method, timeout: 20_000 }
    request({ ...options, headers: { ...(host !== undefined && { host }), ...headers } }, response => {
      let body = ''
      response.setEncoding('utf8').on('data', (chunk: string) => {
        body += chunk
      })
      response.on('end', () => {
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body })
      })
    })
      .on('error', reject)
      .end()
  })

const portOf = (server: Server) => (server.address() as AddressInfo).port

const settingsOf = (service: string, spec: Json): TrafficSettings => {
  const parsed = parseDocument('TrafficPolicy', service, spec)
  if (!parsed.ok || parsed.document.kind !== 'TrafficPolicy') throw new Error(JSON.stringify(parsed))
  return effectivePolicy({ caller: null, destination: service, documents: [parsed.document] }).settings
}

/** Without ejections, where a test wants to see every answer of a failing instance. */
const noEjection = { outlierDetection: { enabled: false } }

describe("a sidecar's configuration in Envoy", () => {
  const servers: Server[] = []
  let directory = ''
  let supervisor: Supervisor
  let outbound = 0
  let admin = 0
  /** The headers of the last request that reached the application. */
  let seen: IncomingHttpHeaders = {}
  let deadInbound = 0
  let forged = 0
  /** Requests that are not answered until a test does it. */
  const waiting: ServerResponse[] = []

  const serve = (listener: RequestListener) =>
    new Promise<number>(resolve => {
      const server = createServer(listener)
      servers.push(server)
      server.listen(0, '127.0.0.1', () => {
        resolve(portOf(server))
      })
    })

  const startEnvoy = async (name: string, bootstrap: Json, adminPort: number) => {
    const file = join(directory, `${name}.json`)
    await writeFile(file, JSON.stringify(bootstrap))
    const envoy = supervisor.start({
      name,
      group: 'envoy',
      command: inject('envoy'),
      args: ['-c', file, '--concurrency', '1', '--disable-hot-restart'],
      env: process.env,
    })
    await eventually(`${name} to be ready`, async () => {
      const error = envoy.failed()
      if (error !== null) throw error
      return (await call({ port: adminPort, path: '/ready' })).status === 200
    })
  }

  const startInbound = async (name: string, ports: { port: number; admin: number; app: number }) => {
    const cluster = packCluster(buildInboundCluster({ protocol: 'http', appPort: ports.app }))
    const listener = packListener(buildInboundListener({ port: ports.port, tracing: null }))
    const resources = {
      clusters: [unpacked(cluster)],
      listeners: [unpacked(listener)],
      adminPort: ports.admin,
    }
    await startEnvoy(name, staticBootstrap(resources), ports.admin)
  }

  const clusterOf = (service: string, ports: readonly number[], settings: TrafficSettings): Json => {
    const policy = clusterPolicyOf(settings)
    const endpoints = ports.map((port, index) => ({
      id: `${service}-${index}`,
      address: '127.0.0.1',
      port,
      weight: 1,
      health: 'HEALTHY' as const,
      locality: { region: '', zone: '' },
    }))
    return withEndpoints(
      unpacked(packCluster(buildCluster({ service, protocol: 'http', policy }))),
      unpacked(packEndpoints(buildEndpoints({ service, endpoints }))),
    )
  }

  const get = (host: string, more: Omit<Call, 'port' | 'host'> = {}) =>
    call({ port: outbound, host, ...more })

  /** How many answers of each status `count` calls get. */
  const tally = async (answers: readonly Promise<Answer>[]) => {
    const counts: Record<number, number> = {}
    for (const { status } of await Promise.all(answers)) counts[status] = (counts[status] ?? 0) + 1
    return counts
  }

  const stat = async (name: string) =>
    Number(/: (\d+)/.exec((await call({ port: admin, path: `/stats?filter=^${name}$` })).body)?.[1])

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'waymark-sidecar-'))
    supervisor = new Supervisor({ logDir: directory })
    const ports = await freePorts(7)
    const [port = 0, adminPort = 0, live = 0, liveAdmin = 0, dead = 0, deadAdmin = 0, nobody = 0] = ports
    outbound = port
    admin = adminPort
    deadInbound = dead
    const good = await serve((incoming, response) => {
      seen = incoming.headers
      if (incoming.url === '/forge') {
        forged++
        response.writeHead(503, { 'x-waymark-unreached': 'forged' }).end()
      } else response.end('good')
    })
    const failing = await serve((_, response) => {
      response.writeHead(503).end()
    })
    const held = await serve((_, response) => {
      waiting.push(response)
    })

    await startInbound('live', { port: live, admin: liveAdmin, app: good })
    await startInbound('dead', { port: dead, admin: deadAdmin, app: nobody })
    const services: [service: string, ports: number[], spec: Json][] = [
      ['payments', [live, dead], noEjection],
      ['biased', [live, dead], { ...noEjection, loadBalancing: { policy: 'leastRequest' } }],
      ['gone', [dead], noEjection],
      ['empty', [], {}],
      ['half', [failing, good], { loadBalancing: { policy: 'roundRobin' } }],
      ['single', [failing], {}],
      ['flooded', [held], { connectionLimits: { requests: 3 } }],
      ['late', [held], { timeouts: { request: '100ms' } }],
    ]
    const settings = new Map(services.map(([service, , spec]) => [service, settingsOf(service, spec)]))
    const of = (service: string) => settings.get(service) ?? settingsOf(service, {})
    const hosts = [
      buildUnknownHost(),
      ...services.map(([service]) => buildVirtualHost({ service, policy: routePolicyOf(of(service)) })),
    ]
    const listener = unpacked(packListener(buildOutboundListener({ port, tracing: null })))
    const routes = withHosts(
      unpacked(packRoutes(buildOutboundRoutes())),
      hosts.map(each => unpacked(packVirtualHost(each))),
    )
    const bootstrap = staticBootstrap({
      clusters: services.map(([service, ports]) => clusterOf(service, ports, of(service))),
      listeners: [withRoutes(listener, routes)],
      adminPort,
    })
    await startEnvoy('caller', bootstrap, adminPort)
  })

  afterAll(async () => {
    await supervisor.stopAll()
    for (const server of servers) {
      server.closeAllConnections()
      server.close()
    }
    await rm(directory, { recursive: true, force: true })
  })

  it.each(['payments', 'payments:8080', 'payments.mesh', 'payments.mesh:80', 'Payments'])(
    'routes by the host %s',
    async host => {
      expect(await get(host)).toMatchObject({ status: 200, body: 'good' })
    },
  )

  it('says in a 404 which host it does not know', async () => {
    const answer = await get('nobody.example:99')
    expect(answer).toMatchObject({ status: 404, headers: { 'content-type': 'application/problem+json' } })
    expect(JSON.parse(answer.body)).toMatchObject({
      title: 'Unknown host',
      status: 404,
      host: 'nobody.example:99',
      detail: expect.stringContaining('The mesh has no service of this name') as string,
    })
  })

  it.each(['payments', 'biased'])(
    'repeats a POST to %s elsewhere if it reached no application',
    async host => {
      const answers = await Promise.all(Array.from({ length: 40 }, () => get(host, { method: 'POST' })))
      expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]))
      expect(await stat(`cluster.${host}.upstream_rq_retry_success`)).toBeGreaterThan(0)
    },
  )

  it('does not show the application how it knew that another was not reached', async () => {
    expect(await call({ port: deadInbound, method: 'POST' })).toMatchObject({
      status: 503,
      headers: { 'x-waymark-unreached': 'connect-failure' },
    })
    const exhausted = await get('gone', { method: 'POST' })
    expect(exhausted.status).toBe(503)
    expect(exhausted.headers).not.toHaveProperty('x-waymark-unreached')
    expect(await stat('cluster.gone.upstream_rq_retry')).toBe(2)
  })

  it('does not believe an application that claims not to have been reached', async () => {
    const answers = Array.from({ length: 10 }, () => get('payments', { method: 'POST', path: '/forge' }))
    expect(await tally(answers)).toEqual({ 503: 10 })
    expect(forged).toBe(10)
  })

  it('lets no caller steer it with headers, and passes on those of an edge', async () => {
    const edge = { 'x-forwarded-for': '192.0.2.1', 'x-forwarded-proto': 'https', 'x-request-id': 'edge-1' }
    const steering = { 'x-envoy-upstream-rq-timeout-ms': '600000', 'x-envoy-max-retries': '10' }
    expect(await get('payments', { headers: { ...edge, ...steering } })).toMatchObject({ status: 200 })
    expect(seen).toMatchObject({ ...edge, host: 'payments' })
    expect(Object.keys(seen).filter(name => name.startsWith('x-envoy-'))).toEqual([])
    expect((await get('late', { headers: steering })).status).toBe(504)
  })

  it('answers 503 at once for a service without instances', async () => {
    expect(await get('empty')).toMatchObject({ status: 503, body: 'no healthy upstream' })
  })

  it('leaves out one failing instance of two, but never the only one', async () => {
    for (let index = 0; index < 30; index++) await get('half')
    expect(await stat('cluster.half.outlier_detection.ejections_active')).toBe(1)
    expect(await tally(Array.from({ length: 20 }, () => get('half')))).toEqual({ 200: 20 })
    for (let index = 0; index < 30; index++) await get('single')
    expect(await stat('cluster.single.outlier_detection.ejections_active')).toBe(0)
  })

  it('answers what is above the limit of requests at once', async () => {
    const before = waiting.length
    const answers: Answer[] = []
    const calls = Array.from({ length: 10 }, async () => {
      answers.push(await get('flooded'))
    })
    await eventually('the calls above the limit to be refused', () => answers.length === 7)
    const refused = answers.filter(({ status }) => status === 503)
    expect(refused).toHaveLength(7)
    await eventually('the others to arrive', () => waiting.length === before + 3)
    for (const response of waiting) response.end()
    await Promise.all(calls)
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(3)
    for (const { headers } of refused) expect(headers).toMatchObject({ 'x-envoy-overloaded': 'true' })
  })
})
