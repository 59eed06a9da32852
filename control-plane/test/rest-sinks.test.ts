import { randomBytes } from 'node:crypto'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { Ajv2020 } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'
import { sql } from 'kysely'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { runCli } from '../src/cli/run-cli.ts'
import type { SinkManager } from '../src/outbox/sink-manager.ts'
import type { ParkedListView, SinkView } from '../src/rest/schemas/sink.ts'
import type { SinkPort } from '../src/rest/sink-port.ts'
import { systemClock } from '../src/runtime/clock.ts'
import { createTestDatabase, type TestDatabase } from './support/database.ts'
import { eventually } from './support/eventually.ts'
import { startRest, type TestRest } from './support/rest.ts'
import { createTestSinks } from './support/sinks.ts'

interface Event {
  readonly id: string
  readonly type: string
  readonly subject: string
  readonly revision: string
  readonly data: unknown
}

let database: TestDatabase
let rest: TestRest
let manager: SinkManager
let folder: string
let receiver: Server
let received: Event[]
/** Subjects that the receiver refuses. */
let refused: Set<string>
let stop: () => Promise<void>
const key = `whsec_${randomBytes(32).toString('base64')}`

beforeEach(async () => {
  database = await createTestDatabase()
  folder = await mkdtemp(join(tmpdir(), 'waymark-sinks-'))
  received = []
  refused = new Set()
  receiver = createServer((request, response) => {
    void text(request).then(body => {
      const event = JSON.parse(body) as Event
      if (!refused.has(event.subject)) received.push(event)
      response.writeHead(refused.has(event.subject) ? 422 : 204).end('never')
    })
  })
  await new Promise<void>(resolve => receiver.listen(0, '127.0.0.1', resolve))
  const made: { sinks?: ReturnType<typeof createTestSinks> } = {}
  const control = () => {
    if (made.sinks === undefined) throw new Error('not started')
    return made.sinks.control
  }
  rest = await startRest(database, {
    // The mesh state comes with the replica that startRest makes.
    sinks: new Proxy({} as SinkPort, {
      get: (_, name) => {
        const value: unknown = Reflect.get(control(), name, control())
        return typeof value === 'function' ? (value.bind(control()) as unknown) : value
      },
    }),
  })
  made.sinks = createTestSinks(database, rest.replica, {
    filesDirectory: folder,
    environment: { WAYMARK_SECRET_HOOK: key },
    sinks: [{ kind: 'file', name: 'fixed', path: join(folder, 'fixed.ndjson'), start: 'now' }],
  })
  manager = made.sinks.manager
  rest.replica.mesh.onDelta(() => {
    manager.reconcile()
    manager.wake()
  })
  const abort = new AbortController()
  const ended = manager.start(abort.signal)
  stop = async () => {
    abort.abort()
    await ended
  }
})

afterEach(async () => {
  await stop()
  await rest.stop()
  receiver.closeAllConnections()
  await new Promise(resolve => receiver.close(resolve))
  await database.destroy()
  await rm(folder, { recursive: true })
})

const hook = () => ({
  spec: {
    type: 'webhook',
    webhook: { url: `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/hook` },
  },
})
const register = (service: string, id: string, port = 80) =>
  rest.ok('PUT', `/services/${service}/instances/${id}`, {
    body: { address: '10.0.0.1', port, lease: null },
  })
const sink = async (name: string): Promise<SinkView> =>
  (await rest.ok<SinkView>('GET', `/sinks/${name}`)).body
const current = (name: string, state: Partial<SinkView> = {}) =>
  eventually(async () => {
    const { revision } = rest.replica.mesh
    expect(await sink(name)).toMatchObject({ lag: 0, revision, ...state })
  })
const fileEvents = async (name: string): Promise<Event[]> =>
  (await readFile(join(folder, name), 'utf8'))
    .trim()
    .split('\n')
    .map(line => JSON.parse(line) as Event)

describe('sinks as documents', () => {
  it('are added, changed and deleted while the replica runs, and leave nothing behind', async () => {
    await register('payments', 'a')
    const created = await rest.call('PUT', '/documents/EventSink/hook', { body: hook() })
    expect(created.status).toBe(201)
    expect(JSON.stringify(created.body)).not.toContain('whsec')
    await current('hook', { kind: 'webhook', origin: 'document', owner: 'replica-1' })
    expect(received.map(({ subject }) => subject)).toEqual(['payments/a', 'EventSink/hook'])

    const { spec } = hook()
    const filtered = { spec: { ...spec, filter: { types: ['instance.*'], services: ['orders'] } } }
    await rest.ok('PUT', '/documents/EventSink/hook', { body: filtered })
    await register('payments', 'b')
    await register('orders', 'c')
    await rest.ok('PUT', '/documents/Service/orders', { body: { spec: {} } })
    await current('hook')
    expect(received.slice(2).map(({ subject }) => subject)).toEqual(['orders/c'])

    expect((await rest.call('DELETE', '/documents/EventSink/hook')).status).toBe(204)
    await eventually(async () => {
      const rows = await database.database.selectFrom('outbox_cursor').select('sink').execute()
      expect(rows.map(row => row.sink)).toEqual(['fixed'])
    })
    expect((await rest.call('GET', '/sinks/hook')).status).toBe(404)
  })

  it('may not take a name of the configuration, and write files in one folder only', async () => {
    const file = (name: string) => ({ body: { spec: { type: 'file', file: { name } } } })
    expect((await rest.call('PUT', '/documents/EventSink/fixed', file('a'))).body).toMatchObject({
      code: 'invalid_document',
      errors: [{ pointer: '{name}' }],
    })
    for (const name of ['../a', '/etc/cron.d/a', '.a', 'a/b', ''])
      expect((await rest.call('PUT', '/documents/EventSink/out', file(name))).status).toBe(422)
    expect((await rest.call('PUT', '/documents/EventSink/out', file('out.ndjson'))).status).toBe(201)
    await current('out')
    expect(await fileEvents('out.ndjson')).toHaveLength(1)
  })

  it('wait for a secret that is not there, and reach no address that is denied', async () => {
    const { spec } = hook()
    const without = { spec: { ...spec, webhook: { ...spec.webhook, secret: 'no-such-key' } } }
    await rest.ok('PUT', '/documents/EventSink/one', { body: without })
    const metadata = { spec: { ...spec, webhook: { url: 'http://169.254.169.254/', secret: 'hook' } } }
    await rest.ok('PUT', '/documents/EventSink/two', { body: metadata })
    await eventually(async () => {
      expect((await sink('one')).error).toBe(
        'the secret no-such-key is not there (looked for in WAYMARK_SECRET_NO_SUCH_KEY)',
      )
      expect((await sink('two')).error).toContain('its address is one that sinks must not reach')
    })
    expect(received).toEqual([])
  })
})

describe('what operators ask of a sink', () => {
  it('is a pause, during which nothing is delivered and nothing lost', async () => {
    await rest.ok('PUT', '/documents/EventSink/hook', { body: hook() })
    await current('hook')
    const paused = await rest.call<SinkView>('POST', '/sinks/hook/pause', {
      headers: { 'x-waymark-actor': 'ann' },
    })
    expect(paused.body.paused).toMatchObject({ by: 'rest:ann' })
    received = []
    await register('payments', 'a')
    await register('payments', 'b')
    await eventually(async () => {
      expect(await sink('hook')).toMatchObject({ lag: 2, error: null })
    })
    expect((await sink('hook')).lagMs).toBeGreaterThan(0)
    expect(received).toEqual([])
    await rest.ok('POST', '/sinks/hook/resume')
    await current('hook', { paused: null })
    expect(received.map(({ subject }) => subject)).toEqual(['payments/a', 'payments/b'])
  })

  it('is a replay, from a revision that the log has', async () => {
    for (const id of ['a', 'b', 'c']) await register('payments', id)
    await rest.ok('PUT', '/documents/EventSink/hook', { body: hook() })
    await current('hook')
    received = []
    expect((await rest.call('POST', '/sinks/hook/replay', { body: { from: 3 } })).body).toEqual({ from: 3 })
    await eventually(() => {
      expect(received.map(({ revision }) => revision)).toEqual(['3', '4'])
    })
    await rest.ok('POST', '/sinks/hook/replay', { body: { from: 'oldest' } })
    await eventually(() => {
      expect(received.map(({ revision }) => revision)).toEqual(['3', '4', '1', '2', '3', '4'])
    })
    expect((await rest.call('POST', '/sinks/hook/replay', { body: { from: 6 } })).status).toBe(400)
    expect((await rest.call('POST', '/sinks/hook/replay', { body: { from: 0 } })).status).toBe(400)
    await database.database.updateTable('change_partition').set({ from_revision: 3 }).execute()
    expect((await rest.call('POST', '/sinks/hook/replay', { body: { from: 2 } })).body).toMatchObject({
      code: 'compacted',
      oldest: 3,
    })
  })

  it('is another try of parked events, or an end of one', async () => {
    refused.add('payments/a').add('payments/b')
    for (const port of [80, 81]) for (const id of ['a', 'b', 'c']) await register('payments', id, port)
    await rest.ok('PUT', '/documents/EventSink/hook', { body: hook() })
    await current('hook', { parked: 4 })
    const first = await rest.call<ParkedListView>('GET', '/sinks/hook/parked?limit=3')
    expect(first.body.parked).toMatchObject([
      { aggregateId: 'payments/a', revision: 1, attempts: 5, error: 'the receiver answered 422: never' },
      { aggregateId: 'payments/b', revision: 2, attempts: 5 },
      { aggregateId: 'payments/a', revision: 4, attempts: 0 },
    ])
    const second = await rest.call<ParkedListView>(
      'GET',
      `/sinks/hook/parked?after=${first.body.next ?? ''}&limit=3`,
    )
    expect(second.body).toMatchObject({ parked: [{ aggregateId: 'payments/b', revision: 5 }], next: null })
    received = []
    refused.delete('payments/a')
    expect((await rest.call('POST', '/sinks/hook/parked/retry')).status).toBe(204)
    await current('hook', { parked: 2 })
    expect(received.map(({ subject, revision }) => [subject, revision])).toEqual([
      ['payments/a', '1'],
      ['payments/a', '4'],
    ])
    // The other one has had its turn, too.
    await eventually(async () => {
      const left = await rest.call<ParkedListView>('GET', '/sinks/hook/parked')
      expect(left.body.parked).toMatchObject([{ aggregateId: 'payments/b', attempts: 6 }, { attempts: 0 }])
    })
    refused.clear()
    const id = first.body.parked[1]?.id ?? ''
    expect((await rest.call('DELETE', `/sinks/hook/parked/${id}`)).status).toBe(204)
    await current('hook', { parked: 0 })
    expect(received.slice(2).map(({ revision }) => revision)).toEqual(['5'])
    expect((await rest.call('DELETE', `/sinks/hook/parked/${id}`)).body).toMatchObject({
      code: 'parked_event_not_found',
    })
  })

  it('is an end of all parked events of one instance', async () => {
    refused.add('payments/a').add('payments/b')
    for (const port of [80, 81, 82]) for (const id of ['a', 'b']) await register('payments', id, port)
    await rest.ok('PUT', '/documents/EventSink/hook', { body: hook() })
    await current('hook', { parked: 6 })
    const drop = (aggregate: string) => rest.call('DELETE', `/sinks/hook/parked?aggregate=${aggregate}`)
    expect((await drop('instance/payments/a')).body).toEqual({ dropped: 3 })
    expect((await drop('instance/payments/a')).body).toEqual({ dropped: 0 })
    for (const wrong of ['', 'instance', 'sidecar/a/b', 'instance//b'])
      expect((await drop(wrong)).body).toMatchObject({ code: 'invalid_request' })
    expect((await rest.call('DELETE', '/sinks/hook/parked')).status).toBe(400)
    await current('hook', { parked: 3 })
    refused.clear()
    await rest.ok('POST', '/sinks/hook/parked/retry')
    await current('hook', { parked: 0 })
    expect(received.map(({ subject }) => subject)).not.toContain('payments/a')
  })

  it('can be asked and seen by the command', async () => {
    await rest.ok('PUT', '/documents/EventSink/hook', { body: hook() })
    await current('hook')
    const url = await rest.app.listen({ host: '127.0.0.1', port: 0 })
    const waymark = async (...argv: string[]) => {
      const out: string[] = []
      const unused = () => {
        throw new Error('not used')
      }
      const code = await runCli({
        argv,
        terminal: {
          out: line => void out.push(line),
          err: line => void out.push(line),
          env: { WAYMARK_API: url },
          clock: systemClock,
          read: unused,
          open: unused,
          write: unused,
        },
      })
      return { code, out: out.join('\n') }
    }
    expect(await waymark('sinks')).toMatchObject({
      code: 0,
      out: expect.stringMatching(/^hook +webhook +current/m) as string,
    })
    expect((await waymark('sinks', 'hook', '--pause', '--by', 'ann')).out).toMatch(/PAUSED[^]*by rest:ann/)
    expect((await waymark('sinks', 'hook', '--resume')).code).toBe(0)
    expect((await waymark('sinks', 'hook', '--replay', '1')).out).toContain('from revision 1 on')
    expect((await waymark('sinks', 'hook', '--replay', 'soon')).code).toBe(2)
    expect((await waymark('sinks', 'hook', '--pause', '--resume')).code).toBe(2)
    expect((await waymark('sinks', 'nobody')).code).toBe(3)
    expect((await waymark('sinks', 'hook', '--drop', 'instance/payments/a')).code).toBe(0)
    expect((await waymark('sinks', 'hook', '--forget')).out).toContain('it has a document')
  })
})

describe('a sink that nobody has any more', () => {
  const leaveOver = async (minutes: number): Promise<void> => {
    await sql`insert into outbox_cursor (sink, revision, position, fence, updated_at, declared_at)
      values ('old', 1, 0, 7, clock_timestamp(), clock_timestamp() - ${minutes} * interval '1 minute')`.execute(
      database.database,
    )
    await sql`insert into outbox_parked (sink, change_id, revision, position, aggregatetype, aggregateid, event,
        error, attempts, parked_at)
      values ('old', gen_random_uuid(), 1, 0, 'instance', 'payments/a', '{}', 'no', 5, clock_timestamp())`.execute(
      database.database,
    )
    await manager.lookForOrphans()
  }

  it('is shown as orphaned, and forgotten when somebody says so', async () => {
    for (const id of ['a', 'b', 'c']) await register('payments', id)
    await leaveOver(4)
    expect(await sink('old')).toMatchObject({
      ...{ kind: 'unknown', origin: 'configuration', orphaned: true, owner: null },
      ...{ revision: 1, lag: 2, parked: 1, compacted: false },
    })
    expect((await rest.ok<ParkedListView>('GET', '/sinks/old/parked')).body.parked).toHaveLength(1)
    expect((await rest.call('DELETE', '/sinks/old')).status).toBe(204)
    expect((await rest.call('GET', '/sinks/old')).status).toBe(404)
    expect((await rest.call('DELETE', '/sinks/old')).status).toBe(404)
    for (const table of ['outbox_cursor', 'outbox_parked'] as const) {
      const rows = await database.database.selectFrom(table).select('sink').execute()
      expect(rows.map(row => row.sink)).not.toContain('old')
    }
  })

  it('is not one that a replica declares, or has declared a moment ago, or that has a document', async () => {
    await register('payments', 'a')
    await leaveOver(1)
    expect((await rest.call('DELETE', '/sinks/old')).status).toBe(404)
    await current('fixed')
    await sql`update outbox_cursor set declared_at = clock_timestamp() - interval '1 hour'`.execute(
      database.database,
    )
    await manager.lookForOrphans()
    expect((await sink('old')).orphaned).toBe(true)
    expect((await sink('fixed')).orphaned).toBe(false)
    expect((await rest.call('DELETE', '/sinks/fixed')).body).toMatchObject({ code: 'sink_in_use' })
    await rest.ok('PUT', '/documents/EventSink/hook', { body: hook() })
    await current('hook')
    expect((await rest.call('DELETE', '/sinks/hook')).body).toMatchObject({ code: 'sink_in_use' })
    // Another replica has it again.
    await sql`update outbox_cursor set declared_at = clock_timestamp() where sink = 'old'`.execute(
      database.database,
    )
    expect((await rest.call('DELETE', '/sinks/old')).body).toMatchObject({ code: 'sink_in_use' })
    expect((await rest.call('GET', '/sinks/old')).status).toBe(404)
  })
})

it('a sink that was paused for too long says so, and what it has missed', async () => {
  await register('payments', 'a')
  await rest.ok('PUT', '/documents/EventSink/hook', { body: hook() })
  await current('hook')
  await rest.ok('POST', '/sinks/hook/pause')
  for (const id of ['b', 'c', 'd']) await register('payments', id)
  // As retention does it.
  await sql`delete from change where revision < 5`.execute(database.database)
  await sql`update change_partition set from_revision = 5`.execute(database.database)
  await eventually(async () => {
    expect(await sink('hook')).toMatchObject({ compacted: true, gap: null, revision: 2 })
  })
  received = []
  await rest.ok('POST', '/sinks/hook/resume')
  await current('hook', { compacted: false })
  expect(received.map(({ type }) => type)).toEqual([
    'io.waymark.log.discontinued',
    'io.waymark.instance.registered',
  ])
  await eventually(async () => {
    expect((await sink('hook')).gap).toMatchObject({
      ...{ deliveredTo: 2, resumesAfter: 4, reason: 'compacted' },
      at: expect.any(String) as string,
    })
  })
})

describe('schemas of events', () => {
  it('fit every type of event that the registry makes', async () => {
    await rest.ok('PUT', '/documents/EventSink/all', {
      body: { spec: { type: 'file', file: { name: 'all.ndjson' } } },
    })
    await register('payments', 'a')
    await register('payments', 'a', 81)
    await rest.ok('PUT', '/services/payments/instances/a/override', {
      body: { status: 'maintenance', reason: 'test' },
    })
    await rest.ok('DELETE', '/services/payments/instances/a?drain=1h')
    await rest.ok('DELETE', '/services/payments/instances/a')
    const refused = await rest.call('DELETE', '/documents/EventSink/all', { headers: { 'if-match': '"99"' } })
    expect(refused.status).toBe(412)
    await rest.ok('PUT', '/documents/Service/payments', { body: { spec: {} } })
    await rest.ok('DELETE', '/documents/Service/payments')
    await current('all')
    const events = await fileEvents('all.ndjson')
    const { types } = (
      await rest.call<{ types: { type: string; schema: { $id: string } }[] }>('GET', '/events/schemas')
    ).body
    expect(new Set(events.map(({ type }) => type))).toEqual(
      new Set(types.map(({ type }) => type).filter(type => type !== 'io.waymark.log.discontinued')),
    )
    const ajv = addFormats.default(new Ajv2020({ strict: true, allowUnionTypes: true, allErrors: true }))
    for (const event of events as (Event & { dataschema: string })[]) {
      const { body } = await rest.ok<{ $id: string }>('GET', `/events/schemas/${event.type}`)
      expect(body.$id).toBe(event.dataschema)
      const validate = ajv.getSchema(body.$id) ?? ajv.compile(body)
      expect(validate(event.data), `${event.type}: ${JSON.stringify(validate.errors)}`).toBe(true)
      expect(validate({}), event.type).toBe(false)
    }
    expect((await rest.call('GET', '/events/schemas/instance.nothing')).status).toBe(404)
  })
})
