import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { buildBootstrap } from '@waymark/sidecar-config/bootstrap/bootstrap.ts'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { runCli } from '../src/cli/run-cli.ts'
import type { Terminal } from '../src/cli/terminal.ts'
import type { SidecarEntry, StatusReport } from '../src/rest/ports.ts'
import type { TokenEntry } from '../src/domain/access-token.ts'
import { systemClock } from '../src/runtime/clock.ts'
import { TokenBook } from '../src/xds/transport/authorizer-tokens.ts'
import { createTestDatabase, type TestDatabase } from './support/database.ts'
import { eventually } from './support/eventually.ts'
import { noStatus, startRest, type TestRest } from './support/rest.ts'

const sidecars: SidecarEntry[] = []
let status: StatusReport = noStatus
let test: TestDatabase
let rest: TestRest
let url: string

beforeAll(async () => {
  test = await createTestDatabase()
  rest = await startRest(test, {
    sidecarEntries: sidecars,
    status: { status: () => Promise.resolve(status) },
  })
  url = await rest.app.listen({ host: '127.0.0.1', port: 0 })
})

afterAll(async () => {
  await rest.stop()
  await test.destroy()
})

interface Ran {
  readonly code: number
  readonly out: string
  readonly err: string
  readonly files: Readonly<Record<string, string>>
}

const waymark = async (
  argv: readonly string[],
  {
    env = { WAYMARK_API: url },
    files = {},
    ...screen
  }: Partial<Pick<Terminal, 'env' | 'colours' | 'width'>> & { files?: Record<string, string> } = {},
): Promise<Ran> => {
  const out: string[] = []
  const err: string[] = []
  const written: Record<string, string> = {}
  const terminal: Terminal = {
    out: text => void out.push(text),
    err: text => void err.push(text),
    env,
    ...screen,
    clock: systemClock,
    read: file => {
      const content = files[file]
      return content === undefined ? Promise.reject(new Error('no such file')) : Promise.resolve(content)
    },
    open: async function* (file) {
      yield Buffer.from(await terminal.read(file))
    },
    write: (file, content) => {
      written[file] = content
      return Promise.resolve()
    },
  }
  const code = await runCli({ argv, terminal })
  return { code, out: out.join('\n'), err: err.join('\n'), files: written }
}

/** The replica has applied everything that is in the log. */
const applied = async (): Promise<void> => {
  const { body } = await rest.ok<{ head: number }>('GET', '/changes?limit=1')
  await rest.ok('GET', `/services?minRevision=${body.head}`)
}

describe('the log', () => {
  it('is shown and watched, and gives the past', async () => {
    const register = (port: number) =>
      rest.ok('PUT', '/services/logged/instances/a', { body: { address: '10.0.0.1', port, lease: null } })
    const { revision } = await register(80)
    await register(81)
    await applied()
    const changes = await waymark(['changes', '--after', `${revision - 1}`])
    expect(changes.code).toBe(0)
    expect(changes.out).toMatch(
      /^REVISION +TIME +CHANGE +OF +NOW +BY\n.*instance.registered +logged\/a +- -> unknown +rest\n.*instance.updated +logged\/a +unknown +rest$/,
    )

    const watched = await waymark(['watch', 'logged', '--from', `${revision - 1}`, '--limit', '2', '--json'])
    expect(watched.out.split('\n').map(line => (JSON.parse(line) as { revision: number }).revision)).toEqual([
      revision,
      revision + 1,
    ])
    const lines = await waymark([
      'watch',
      'logged',
      '--from',
      '0',
      '--kinds',
      'instance.updated',
      '--limit',
      '1',
    ])
    expect(lines.out).toContain(`${revision + 1}  `)
    expect((await waymark(['watch', '--kinds', 'nonsense'])).code).toBe(3)

    expect((await waymark(['instances', 'logged'])).out).toContain('10.0.0.1:81')
    expect((await waymark(['instances', 'logged', '--at', `${revision}`])).out).toContain('10.0.0.1:80')
    expect((await waymark(['services', '--at', `${revision - 1}`])).out).not.toContain('logged')
    expect((await waymark(['services', '--at', 'tomorrow'])).code).toBe(3)
  })
})

describe('a file of instances', () => {
  const lineOf = (id: string, more: object = {}): string =>
    JSON.stringify({ service: 'imported', id, address: '10.0.0.9', port: 80, ...more })

  it('is imported in batches, whole or again, and refused lines are named', async () => {
    const lines = Array.from({ length: 5_500 }, (_, index) => lineOf(`i-${index}`))
    const whole = await waymark(['import', 'all.ndjson'], { files: { 'all.ndjson': lines.join('\n') } })
    expect(whole.code).toBe(0)
    expect(whole.out).toMatch(/^5,500 lines: 5,500 registered, revision \d+$/)

    const mixed = [
      lineOf('i-0'),
      '',
      lineOf('i-1', { port: 0 }),
      JSON.stringify({ op: 'deregister', service: 'imported', id: 'i-2' }),
    ].join('\n')
    const again = await waymark(['import', '--json', 'mixed.ndjson'], { files: { 'mixed.ndjson': mixed } })
    expect(again.code).toBe(3)
    expect(again.err).toMatch(/^line 3: .* \(invalid_request\)\n {2}\/port: /)
    expect(JSON.parse(again.out)).toMatchObject({
      lines: 3,
      registered: 0,
      unchanged: 1,
      deregistered: 1,
      refused: 1,
      unavailable: 0,
    })
  })

  it('that cannot be read is a mistake of the command line', async () => {
    const { code, err } = await waymark(['import', 'nowhere.ndjson'])
    expect([code, err]).toEqual([2, 'waymark: nowhere.ndjson cannot be read: no such file'])
  })
})

describe('instances from the command line', () => {
  it('are registered, listed, explained and deregistered', async () => {
    const registered = await waymark([
      'register',
      'payments/payments-1',
      ...['--address', '10.0.0.1', '--port', '8080', '--version', 'v2', '--zone', 'z1'],
      ...['--metadata', 'team=core', '--metadata', 'note=a=b', '--sidecar-port', '15006'],
    ])
    expect([registered.code, registered.err]).toEqual([0, ''])
    expect(registered.out).toMatch(/^payments\/payments-1 registered \(revision \d+\)$/)
    await waymark([
      'register',
      'payments/payments-2',
      '--address',
      '10.0.0.2',
      '--port',
      '8080',
      '--no-lease',
    ])
    await applied()

    const services = await waymark(['services'])
    expect(services.out).toMatch(/^SERVICE +INSTANCES +HEALTHY/)
    expect(services.out).toMatch(/^payments +2 +1 +- +- +- +- +1 +-$/m)

    const instances = await waymark(['instances', 'payments', '--health', 'healthy'])
    expect(instances.out.split('\n')).toHaveLength(2)
    expect(instances.out).toMatch(/^payments-1 +healthy +10\.0\.0\.1:8080 +:15006 +v2 +100 +z1/m)

    const json = await waymark(['instances', 'payments', '--json'])
    expect(JSON.parse(json.out)).toMatchObject({
      instances: [
        { id: 'payments-1', metadata: { team: 'core', note: 'a=b' } },
        { id: 'payments-2', lease: null },
      ],
    })

    const why = await waymark(['why', 'payments/payments-1'])
    expect(why.code).toBe(0)
    expect(why.out).toMatch(/^payments\/payments-1 is HEALTHY \(10\.0\.0\.1:8080, revision \d+\)$/m)
    expect(why.out).toMatch(/^ {2}passing for \d+s: its heartbeats$/m)
    expect((await waymark(['why-unhealthy', 'payments', 'payments-2'])).out).toMatch(
      /is UNKNOWN .*\n {2}nobody has said anything/,
    )
    const all = await waymark(['why-unhealthy', 'payments'])
    expect(all.out).toMatch(/^payments: 1 unknown, 1 healthy of 2\n\npayments\/payments-2 is UNKNOWN/)

    const override = ['override', 'payments/payments-2', 'maintenance', '--reason', 'disk', '--by', 'ada']
    const ended = await waymark([...override, '--for', '30m'])
    expect(ended.out).toMatch(/^payments\/payments-2 is maintenance until 20\S+Z \(revision/)
    await applied()
    expect((await waymark(['why', 'payments'])).out).toMatch(
      /maintenance for \d+s: an override\n +set by rest:ada: disk\n +ends in 30m, or with: waymark override payments\/payments-2 none/,
    )
    expect((await waymark([...override, '--for', '1h', '--until', '2999-01-01T00:00:00Z'])).err).toContain(
      '/expiresAt: there is a ttl already',
    )

    const draining = await waymark(['deregister', 'payments/payments-1', '--drain', '30s'])
    expect(draining.out).toMatch(/^payments\/payments-1 is draining until 20/)
    expect((await waymark(['deregister', 'payments/payments-1'])).out).toMatch(/is gone \(revision/)
  })

  it('that are unhealthy give a finding', async () => {
    await rest.ok('PUT', '/services/ledger/instances/a', { body: { address: '10.0.0.3', port: 1 } })
    await rest.ok('PUT', '/services/ledger/instances/a/heartbeat', {
      body: { status: 'critical', output: 'disk\u001b[2J full' },
    })
    await applied()
    await eventually(async () => {
      const why = await waymark(['why', 'ledger/a'])
      expect(why.code).toBe(1)
      expect(why.out).toMatch(
        /^ledger\/a is UNHEALTHY .*\n {2}critical for \d+s: the instance itself\n {4}disk \[2J full$/m,
      )
      expect((await waymark(['why-unhealthy', 'ledger'])).code).toBe(1)
    })
  })
})

describe('documents from the command line', () => {
  const good = 'kind: Service\nname: payments\nspec:\n  protocol: grpc\n'

  it('are applied in order', async () => {
    const files = { 'mesh.yaml': `${good}---\nkind: TrafficPolicy\nname: payments\nspec: {}\n` }
    const ran = await waymark(['apply', '-f', 'mesh.yaml'], { files })
    expect([ran.code, ran.err]).toEqual([0, ''])
    expect(ran.out).toMatch(/^Service\/payments created .*\nTrafficPolicy\/payments created /)
    expect((await waymark(['apply', '-f', 'mesh.yaml'], { files })).out).toMatch(
      /^Service\/payments applied /,
    )
  })

  it('that are refused are named with file and line, and end it', async () => {
    const files = {
      'bad.yaml': `${good}---\nkind: Service\nname: orders\nspec:\n  protocol: smtp\n---\n${good}`,
    }
    const ran = await waymark(['apply', '-f', 'bad.yaml'], { files })
    expect(ran.code).toBe(3)
    expect(ran.out.split('\n')).toHaveLength(1)
    expect(ran.err).toContain('Service/orders was refused (invalid_document)')
    expect(ran.err).toContain('bad.yaml:9: /spec/protocol "smtp" is not accepted; accepted: one of: http')
  })

  it('that cannot be read ask nothing', async () => {
    expect((await waymark(['apply', '-f', 'nowhere.yaml'])).code).toBe(2)
    expect((await waymark(['apply', '-f', 'empty.yaml'], { files: { 'empty.yaml': '' } })).code).toBe(2)
    expect(
      (await waymark(['apply', '-f', 'x', '-f', 'y'], { files: { x: good, y: 'spec: {]' } })).err,
    ).toContain('y:1')
  })
})

describe('waymark sync', () => {
  const entry = (node: string, more: Partial<SidecarEntry['status']> = {}): SidecarEntry => ({
    node,
    replica: 'replica-1',
    seenAt: new Date().toISOString(),
    endedAt: null,
    lost: false,
    rivals: [],
    status: {
      node,
      agent: 'envoy/1.40.0',
      stream: 1,
      connectedAt: Date.now() - 60_000,
      address: '10.0.0.9:4711',
      heardAt: Date.now() - 3_000,
      rivals: [],
      syncedRevision: 5,
      answeredRevision: 5,
      inSync: true,
      types: [],
      nacks: [],
      ...more,
    },
  })
  const typeUrl = 'type.googleapis.com/envoy.config.cluster.v3.Cluster'

  // Times are rounded to seconds, and go on while the command runs.
  it('is content when all are in sync', async () => {
    sidecars.splice(0, Infinity, entry('web/web-1'), entry('web/web-2'))
    const ran = await waymark(['sync'])
    expect(ran.code).toBe(0)
    expect(ran.out).toMatch(/; 2 of 2 sidecars in sync$/m)
    expect(ran.out).toMatch(/^web\/web-1 +in-sync +(?:[3-9]|\d\d)s +5 +(?:[6-9]|1\d)\ds +replica-1$/m)
  })

  it('shows what was refused, in the words of Envoy', async () => {
    const nack = {
      typeUrl,
      names: ['orders'],
      version: 'v',
      revision: 5,
      message: 'Proto constraint failed',
      at: Date.now(),
    }
    sidecars.splice(0, Infinity, entry('web/web-1', { nacks: [nack], inSync: false }))
    const all = await waymark(['sync'])
    expect(all.code).toBe(1)
    expect(all.out).toMatch(/^web\/web-1 +REJECTED +\d+s /m)
    expect(all.out).toMatch(/web\/web-1 refused Cluster orders \d+s ago: Proto constraint failed/)
    const one = await waymark(['sync', 'web/web-1'])
    expect(one.code).toBe(1)
    expect(one.out).toContain('Proto constraint failed')
    expect((await waymark(['sync', 'web/web-9'])).code).toBe(3)
  })

  it('shows the worst first, in colours to a person, with long words broken into lines', async () => {
    const message = 'the first of many words '.repeat(8).trim()
    const nack = { typeUrl, names: ['orders'], version: 'v', revision: 5, message, at: Date.now() }
    const silent = { typeUrl, wildcard: true, subscribed: 0, sent: 2, acked: 1, waiting: 0 }
    sidecars.splice(
      0,
      Infinity,
      entry('web/web-1'),
      { ...entry('web/web-2'), endedAt: new Date().toISOString() },
      entry('web/web-3', { inSync: false, types: [{ ...silent, unansweredSince: Date.now() - 12_000 }] }),
      { ...entry('web/web-4'), rivals: [{ replica: 'r2', address: '10.0.0.8:1', connectedAt: 0 }] },
      entry('web/web-5', { nacks: [nack], inSync: false }),
    )
    const ran = await waymark(['sync'], { colours: true, width: 60 })
    expect(ran.code).toBe(1)
    const lines = ran.out.split('\n')
    expect(lines[0]).toMatch(/; 2 of 5 sidecars in sync, 1 rejected, 1 stuck, 1 disconnected$/)
    const rows = lines.filter(line => line.startsWith('web/web-'))
    expect(rows.map(row => row.slice(0, 9))).toEqual([5, 3, 2, 1, 4].map(n => `web/web-${n}`))
    expect(rows[0]).toContain('\u001b[31mREJECTED')
    expect(rows[3]).toContain('\u001b[32min-sync')
    expect(ran.out).toMatch(/web\/web-3 has not answered Cluster for (?:1[2-9]|[2-9]\d)s/)
    expect(ran.out).toContain('web/web-4 is the name of several Envoys')
    const words = lines.slice(lines.findIndex(line => line.startsWith('  web/web-5 refused')))
    expect(words.slice(0, 4).every(line => line.length <= 60 && line.startsWith('  '))).toBe(true)
    const few = await waymark(['sync', '--state', 'stuck,pending', '--limit', '1', '--json'])
    expect(JSON.parse(few.out)).toMatchObject({
      next: null,
      sidecars: [{ node: 'web/web-3', state: 'stuck' }],
    })
    const page = await waymark(['sync', '--limit', '2'])
    expect(page.out).toContain('There are more')
    expect((await waymark(['sync', '--state', 'odd'])).code).toBe(3)
  })

  it('waits for those who are behind, and says when it was in vain', async () => {
    sidecars.splice(0, Infinity, entry('web/web-1', { inSync: false }))
    expect((await waymark(['sync'])).code).toBe(0)
    expect((await waymark(['sync', '--wait', '1ms'])).code).toBe(1)
    const waiting = waymark(['sync', '--wait', '1m'])
    sidecars.splice(0, Infinity, entry('web/web-1'))
    expect((await waiting).code).toBe(0)
    expect((await waymark(['sync', '--wait', 'long'])).code).toBe(2)
  })
})

describe('waymark status', () => {
  const since = '2026-01-01T00:00:00.000Z'

  it('shows modes, replicas and sinks', async () => {
    status = {
      ...noStatus,
      revision: 7,
      head: 7,
      modes: [{ capability: 'register', mode: 'target', since, evidence: 'writes commit', endsWhen: null }],
      replicas: [
        { id: 'r1', http: '127.0.0.1:7400', xds: '127.0.0.1:7401', startedAt: since, seenAt: since },
      ],
      sinks: [
        {
          sink: 'audit',
          revision: 5,
          lag: 2,
          lagMs: 10,
          parked: 1,
          paused: null,
          compacted: false,
          orphaned: false,
          error: 'connection refused',
        },
      ],
    }
    const ran = await waymark(['status'])
    expect(ran.code).toBe(0)
    expect(ran.out).toMatch(/^register +target +\d+d +writes commit$/m)
    expect(ran.out).toMatch(/^r1 +127\.0\.0\.1:7400/m)
    expect(ran.out).toMatch(/^audit +5 +2 +1 +connection refused$/m)
  })

  it('finds what is not as planned', async () => {
    status = {
      ...noStatus,
      head: null,
      replicas: null,
      sinks: null,
      modes: [
        { capability: 'register', mode: 'floor', since, evidence: 'no database', endsWhen: 'it is back' },
      ],
      selfPreservation: { active: true, since, leased: 100, due: 40 },
    }
    const ran = await waymark(['status'])
    expect(ran.code).toBe(1)
    expect(ran.out).toMatch(/^register +FLOOR .*no database +it is back$/m)
    expect(ran.out).toContain('the database cannot be asked')
    expect(ran.out).toContain('40 of 100 leases')
  })
})

describe('waymark token new', () => {
  it('makes a token and the entry that lets it in', async () => {
    const ran = await waymark(['--json', 'token', 'new', '--service', 'payments', '--service', 'refunds'])
    expect(ran.code).toBe(0)
    const { token, entry } = JSON.parse(ran.out) as { token: string; entry: TokenEntry }
    const book = TokenBook.parse(JSON.stringify([entry]))
    const now = systemClock.now()
    expect(book.find(token, now)).toEqual(new Set(['payments', 'refunds']))
    expect(book.find(token, now + 89 * 86_400_000)).toBeDefined()
    expect(book.find(token, now + 91 * 86_400_000)).toBeUndefined()
  })

  it('is for all services only when told so', async () => {
    const ran = await waymark(['token', 'new', '--all-services', '--days', '1'])
    expect(ran.out).toMatch(/\nwmt_[\w-]{43}\n.*\n\{"sha256":"[0-9a-f]{64}","services":\["\*"\],/)
    for (const wrong of [[], ['--all-services', '--service', 'a'], ['--service', 'A'], ['--service', '*']]) {
      expect((await waymark(['token', 'new', ...wrong])).code).toBe(2)
    }
    for (const days of ['0', '4000', 'x']) {
      expect((await waymark(['token', 'new', '--service', 'a', '--days', days])).code).toBe(2)
    }
  })
})

describe('waymark bootstrap', () => {
  const required = ['bootstrap', '--service', 'payments', '--instance', 'payments-1']

  it('writes what Envoy starts with, without asking the API', async () => {
    const ran = await waymark(
      [
        ...required,
        '--control-plane',
        '10.0.0.1:7401',
        '--control-plane',
        '[::1]:7401',
        '--zone',
        'z1',
        '--upstream',
        'ledger',
        '--inbound-port',
        '15106',
      ],
      { env: { WAYMARK_API: 'http://127.0.0.1:1' } },
    )
    expect([ran.code, ran.err]).toEqual([0, ''])
    expect(parse(ran.out)).toEqual(
      buildBootstrap({
        service: 'payments',
        instance: 'payments-1',
        locality: { region: '', zone: 'z1' },
        controlPlane: [
          { host: '10.0.0.1', port: 7401 },
          { host: '::1', port: 7401 },
        ],
        inboundPort: 15_106,
        upstreams: ['ledger'],
      }),
    )
  })

  it('writes the bootstrap of a gRPC program without a sidecar', async () => {
    const ran = await waymark([...required, '--grpc', '--tls-ca', '/tls/ca.crt', '--output', '/etc/xds.json'])
    expect([ran.code, ran.err]).toEqual([0, 'wrote /etc/xds.json'])
    expect(JSON.parse(ran.files['/etc/xds.json'] ?? '')).toMatchObject({
      xds_servers: [{ server_uri: '127.0.0.1:7401', channel_creds: [{ type: 'tls' }] }],
      node: { id: 'payments/payments-1', cluster: 'payments' },
    })
    const useless = await waymark([...required, '--grpc', '--admin-port', '1', '--upstream', 'web'])
    expect([useless.code, useless.err]).toEqual([
      2,
      expect.stringContaining('--grpc does not go with --admin-port, --upstream') as string,
    ])
  })

  it('writes beside the bootstrap the files by which Envoy reads certificates and the token', async () => {
    const tls = ['--tls-ca', '/etc/waymark/ca.crt', '--tls-cert', '/run/tls.crt', '--tls-key', '/run/tls.key']
    const to = ['--control-plane', 'waymark.example:7401', '--output', '/etc/envoy/bootstrap.json']
    const ran = await waymark([...required, ...tls, '--token-file', '/run/token', ...to])
    expect([ran.code, ran.err]).toEqual([0, 'wrote /etc/envoy/bootstrap.json'])
    const bootstrap = ran.files['/etc/envoy/bootstrap.json'] ?? ''
    const named = [...bootstrap.matchAll(/"path": "([^"]+)"/g)].map(match => match[1])
    expect(named.sort()).toEqual([
      '/etc/envoy/bootstrap.control-plane-ca.json',
      '/etc/envoy/bootstrap.control-plane-certificate.json',
      '/etc/envoy/bootstrap.control-plane-token.json',
    ])
    for (const path of named) expect(ran.files).toHaveProperty([path ?? ''])
  })

  it('takes a share of the memory limit for the heap', async () => {
    const ran = await waymark([...required, '--memory-limit', '512Mi', '--output', 'a.json'])
    expect(ran.files['a.json']).toContain(`"max_heap_size_bytes": ${409 * 1024 * 1024}`)
  })

  it('writes the format that the name of the file promises', async () => {
    const yaml = await waymark([...required, '--output', '/etc/envoy/bootstrap.yaml'])
    const json = await waymark([...required, '--output', '/etc/envoy/bootstrap.json'])
    expect(yaml.files['/etc/envoy/bootstrap.yaml']).toContain('# Envoy bootstrap of payments/payments-1')
    expect(JSON.parse(json.files['/etc/envoy/bootstrap.json'] ?? '')).toEqual(
      parse(yaml.files['/etc/envoy/bootstrap.yaml'] ?? ''),
    )
  })

  it.each([
    ['bootstrap', '--service', 'payments'],
    ['bootstrap', '--service', 'Payments', '--instance', 'a'],
    ['bootstrap', '--service', 'payments', '--instance', 'a/b'],
    [...required, '--control-plane', 'waymark'],
    [...required, '--memory-limit', '12'],
    [...required, '--tls-name', 'waymark.example'],
    [...required, '--tls-ca', 'ca.crt'],
    [...required, '--tls-ca', 'ca.crt', '--tls-cert', 'tls.crt', '--output', 'bootstrap.json'],
    [...required, '--token-file', 'token', '--control-plane', '10.0.0.1:7401', '--output', 'bootstrap.json'],
    [...required, '--control-plane', '::1:7401'],
    [...required, '--admin-port', '70000'],
    [...required, '--upstream', 'a_b'],
    [...required, '--colour'],
  ])('refuses %j %j %j %j %j %j %j', async (...argv) => {
    const ran = await waymark(argv)
    expect(ran.code).toBe(2)
    expect(ran.err).not.toBe('')
  })
})

describe('the command itself', () => {
  it('says where it asked when nobody answers', async () => {
    const server = createServer((_request, response) => {
      response.end('<html>')
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    expect((await waymark(['--api', `http://127.0.0.1:${port}`, 'status'])).err).toContain('is that Waymark?')
    server.close()
    await once(server, 'close')
    const ran = await waymark(['status', '--api', `http://127.0.0.1:${port}`])
    expect(ran.code).toBe(4)
    expect(ran.err).toContain(`no answer from http://127.0.0.1:${port}`)
  })

  it.each([
    [['status', '--api', 'nonsense']],
    [['why', 'payments/']],
    [['instances']],
    [['instances', 'A']],
    [['fly']],
    [[]],
  ])('refuses %j', async argv => {
    expect((await waymark(argv)).code).toBe(2)
  })

  it('helps', async () => {
    const ran = await waymark(['--help'])
    expect(ran.code).toBe(0)
    expect(ran.out).toContain('bootstrap')
  })

  it('runs as a program', async () => {
    const program = fileURLToPath(new URL('../bin/waymark.mjs', import.meta.url))
    const run = promisify(execFile)
    const { stdout } = await run(process.execPath, [program, 'services', '--json', '--api', url])
    expect(JSON.parse(stdout)).toHaveProperty('services')
    await expect(run(process.execPath, [program, 'why', 'Nothing'])).rejects.toMatchObject({ code: 2 })
  })
})
