import { once } from 'node:events'
import { connect } from 'node:net'
import { promisify } from 'node:util'
import { sql } from 'kysely'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { CompactedError } from '../src/domain/revision.ts'
import { WaymarkError } from '../src/domain/errors.ts'
import type { ChangeReader } from '../src/rest/ports.ts'
import type { ChangeSetView } from '../src/rest/schemas/change.ts'
import type { ProblemView } from '../src/rest/schemas/problem.ts'
import type { StatusView } from '../src/rest/schemas/status.ts'
import type { RestOptions } from '../src/rest/server.ts'
import { createTestDatabase, type TestDatabase } from './support/database.ts'
import { eventually } from './support/eventually.ts'
import { context, instanceSpec } from './support/specs.ts'
import { startRest, type TestRest } from './support/rest.ts'
import { openWatch, type TestWatch } from './support/watch.ts'

let test: TestDatabase
let rest: TestRest
let url: string
const watches: TestWatch[] = []

const start = async (options: Partial<RestOptions> = {}): Promise<void> => {
  rest = await startRest(test, options)
  url = await rest.app.listen({ host: '127.0.0.1', port: 0 })
}
const watch = async (query = '', headers: Readonly<Record<string, string>> = {}): Promise<TestWatch> => {
  const opened = await openWatch(`${url}/api/v1/watch${query}`, headers)
  watches.push(opened)
  return opened
}

beforeEach(async () => {
  test = await createTestDatabase()
})

afterEach(async () => {
  for (const opened of watches.splice(0)) opened.close()
  await rest.stop()
  await test.destroy()
})

const register = async (
  service: string,
  id: string,
  metadata: Record<string, string> = {},
): Promise<number> => {
  const spec = instanceSpec({ lease: null, metadata })
  return (await rest.replica.registry.register({ service, id, spec }, context)).revision
}
const numbers = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, n) => from + n)
const open = async () => (await rest.ok<StatusView>('GET', '/status')).body.watchers

describe('a watch', () => {
  it('tells each revision from now on, once, with its number as id', async () => {
    await start()
    await register('payments', 'before')
    await eventually(() => {
      expect(rest.replica.mesh.revision).toBe(1)
    })
    const watched = await watch()
    expect(watched.headers.get('content-type')).toContain('text/event-stream')
    await register('payments', 'a')
    await register('orders', 'b')
    const events = await watched.events(2)
    expect(events.map(({ id, type }) => [id, type])).toEqual([
      ['2', 'change'],
      ['3', 'change'],
    ])
    const set = JSON.parse(events[0]?.data ?? '') as ChangeSetView
    expect(set.revision).toBe(2)
    expect(set.changes).toEqual([
      expect.objectContaining({
        type: 'instance.registered',
        aggregateId: 'payments/a',
        before: null,
        after: expect.objectContaining({ id: 'a', verdict: 'unknown', lease: null }) as unknown,
      }),
    ])
  })

  it('resumes from the log and goes on live, without a gap and without a double', async () => {
    await start({ limits: { watchPage: 3 } })
    for (const n of numbers(1, 40)) await register('payments', `early-${n}`)
    const late = numbers(41, 80).map(n => register('payments', `late-${n}`))
    const [fromStart, fromEvent] = await Promise.all([
      watch('?from=0'),
      watch('?from=70', { 'last-event-id': '25' }),
    ])
    await Promise.all(late)
    const ids = async (watched: TestWatch, count: number) =>
      (await watched.events(count)).map(({ id }) => Number(id))
    expect(await ids(fromStart, 80)).toEqual(numbers(1, 80))
    expect(await ids(fromEvent, 55)).toEqual(numbers(26, 80))
  })

  it('tells only what concerns the services asked for, and moves its id on all the same', async () => {
    await start({ limits: { watchHeartbeatMs: 50 } })
    const watched = await watch('?services=payments,ledger&from=0')
    await register('orders', 'a')
    await register('payments', 'b')
    const policy = { kind: 'TrafficPolicy', name: 'slow', spec: { destination: 'ledger' }, ifMatch: null }
    await rest.replica.registry.applyDocument(policy, context)
    const last = await register('orders', 'c')
    const events = await watched.events(2)
    expect(events.map(({ id }) => id)).toEqual(['2', '3'])
    await eventually(() => {
      expect(watched.lastEventId).toBe(String(last))
    })
    expect(watched.received).toHaveLength(2)
  })

  it('tells only the kinds of changes asked for, and the same to all who ask alike', async () => {
    await start()
    const path = '?services=payments&kinds=instance.deregistered,document'
    const alike = await Promise.all([watch(path), watch(path), watch(`${path}&from=0`)])
    await register('payments', 'a')
    await rest.replica.registry.deregister(
      { service: 'payments', id: 'a', incarnation: null, drainMs: null },
      context,
    )
    const service = { kind: 'Service', name: 'payments', spec: { protocol: 'http' }, ifMatch: null }
    await rest.replica.registry.applyDocument(service, context)
    const told = await Promise.all(alike.map(watched => watched.events(2)))
    expect(told[0]?.map(({ id }) => id)).toEqual(['2', '3'])
    expect(told[1]).toEqual(told[0])
    expect(told[2]).toEqual(told[0])
    const refused = await rest.call<ProblemView>('GET', '/watch?kinds=instance.nonsense')
    expect([refused.status, refused.body.code]).toEqual([400, 'invalid_request'])
  })

  it('goes on from the log after this replica has read a snapshot', async () => {
    await start()
    const watched = await watch('?from=0')
    await register('payments', 'a')
    await watched.events(1)
    rest.replica.mesh.load(await rest.replica.log.readSnapshot())
    await register('payments', 'b')
    expect((await watched.events(2)).map(({ id }) => id)).toEqual(['1', '2'])
  })

  it('outlives a database that is away', async () => {
    const away = { now: false }
    const changes: ChangeReader = {
      readChanges: range =>
        away.now
          ? Promise.reject(new WaymarkError('database_unavailable', 'away'))
          : rest.replica.log.readChanges(range),
    }
    await start({ changes, limits: { watchRetryMs: 10, watchHeartbeatMs: 20 } })
    await register('payments', 'a')
    const watched = await watch('?from=0')
    await watched.events(1)
    away.now = true
    await register('payments', 'b')
    // Forget what this replica has applied, so that only the log can tell.
    rest.replica.mesh.load(await rest.replica.log.readSnapshot())
    expect(codeOf(await rest.call('GET', '/watch?from=0'))).toBe('database_unavailable')
    away.now = false
    expect((await watched.events(2)).map(({ id }) => id)).toEqual(['1', '2'])
  })
})

const codeOf = ({ body }: { readonly body: unknown }) => (body as ProblemView).code

describe('a revision that retention has removed', () => {
  const compacting = (): { changes: ChangeReader; oldest: number } => {
    const state = {
      oldest: 0,
      changes: {
        readChanges: (range: Parameters<ChangeReader['readChanges']>[0]) =>
          range.after + 1 < state.oldest
            ? Promise.reject(new CompactedError(range.after + 1, state.oldest))
            : rest.replica.log.readChanges(range),
      },
    }
    return state
  }

  it('is 410 before the stream starts, and in /changes', async () => {
    const log = compacting()
    await start({ changes: log.changes })
    const revision = await register('payments', 'a')
    log.oldest = 10
    rest.replica.mesh.load({ revision: revision + 20, instances: [], documents: [] })
    const refused = await rest.call<ProblemView>('GET', '/watch?from=3')
    expect([refused.status, refused.body.code]).toEqual([410, 'compacted'])
    expect(refused.body.detail).toContain('10')
    expect(codeOf(await rest.call('GET', '/changes?after=3'))).toBe('compacted')
  })

  it('tells a watcher that has seen more than the log holds', async () => {
    await start()
    const revision = await register('payments', 'a')
    const refused = await rest.call<ProblemView>('GET', '/watch', {
      headers: { 'last-event-id': String(revision + 5) },
    })
    expect([refused.status, refused.body.code]).toEqual([410, 'compacted'])
    expect(refused.body.detail).toContain(`ends at revision ${revision}`)
    const watched = await watch()
    await sql`delete from instance`.execute(test.database)
    await sql`delete from change where revision = ${revision}`.execute(test.database)
    await sql`update mesh_revision set revision = ${revision - 1}`.execute(test.database)
    await watched.ended
    expect(watched.received.map(({ type }) => type)).toEqual(['compacted'])
  })

  it('ends a stream that has fallen behind with an event that says what to do', async () => {
    const log = compacting()
    await start({ changes: log.changes })
    const watched = await watch('?from=0')
    await register('payments', 'a')
    await watched.events(1)
    log.oldest = 10
    rest.replica.mesh.load({ revision: 20, instances: [], documents: [] })
    await watched.ended
    const last = watched.received.at(-1)
    expect([last?.type, last?.id]).toEqual(['compacted', '1'])
    expect(JSON.parse(last?.data ?? '')).toMatchObject({ code: 'compacted', oldest: 10 })
    await eventually(async () => {
      expect(await open()).toEqual({ open: 0, closedSlow: 0 })
    })
  })
})

describe('the streams of a replica', () => {
  it('are bounded in number, and free their place when their reader leaves', async () => {
    await start({ limits: { watchers: 2 } })
    const first = await watch()
    await watch()
    const refused = await rest.call<ProblemView>('GET', '/watch')
    expect([refused.status, refused.body.code]).toEqual([503, 'overloaded'])
    first.close()
    await eventually(async () => {
      expect((await open()).open).toBe(1)
    })
    await watch()
  })

  it('are closed and counted when they do not read, and others go on', async () => {
    await start({ limits: { watchStallMs: 1_000, watchHeartbeatMs: 50 } })
    const reading = await watch('?from=0')
    const { port } = new URL(url)
    const silent = connect(Number(port), '127.0.0.1')
    silent.pause()
    silent.on('error', () => undefined)
    silent.write('GET /api/v1/watch?from=0 HTTP/1.1\r\nhost: localhost\r\n\r\n')
    await eventually(async () => {
      expect((await open()).open).toBe(2)
    })
    const metadata = Object.fromEntries(numbers(1, 60).map(n => [`key-${n}`, 'x'.repeat(500)]))
    let revision = 0
    await eventually(
      async () => {
        revision = await register('payments', `a-${revision}`, metadata)
        expect(await open()).toEqual({ open: 1, closedSlow: 1 })
      },
      { intervalMs: 1 },
    )
    const closed = once(silent, 'close')
    silent.resume()
    await closed
    expect((await reading.events(revision)).map(({ id }) => Number(id))).toEqual(numbers(1, revision))
  })

  it('end when the listener closes, and so does every request that waits', async () => {
    await start()
    let heard = 0
    rest.app.server.on('request', () => (heard += 1))
    const watched = await watch()
    const waiting = ['index=0', 'minRevision=5'].map(query =>
      fetch(`${url}/api/v1/services?${query}&wait=30s`),
    )
    const { port } = new URL(url)
    const silent = connect(Number(port), '127.0.0.1')
    const closed = once(silent.resume(), 'close')
    await eventually(async () => {
      expect(await promisify(rest.app.server.getConnections.bind(rest.app.server))()).toBe(4)
      expect(heard).toBe(3)
    })
    await rest.app.close()
    await watched.ended
    await closed
    expect((await Promise.all(waiting)).map(({ status }) => status)).toEqual([200, 503])
  })

  it('refuse names that are no services, and say so', async () => {
    await start()
    const { status, body } = await rest.call<ProblemView>('GET', '/watch?services=payments,-x')
    expect([status, body.errors?.[0]?.pointer]).toEqual([400, '?services'])
    const badId = await rest.call<ProblemView>('GET', '/watch', { headers: { 'last-event-id': 'abc' } })
    expect([badId.status, badId.body.errors?.[0]?.pointer]).toEqual([400, 'header last-event-id'])
  })
})
