import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type { ChangePageView } from '../src/rest/schemas/change.ts'
import type { InstanceListView } from '../src/rest/schemas/instance.ts'
import type { SidecarDetailView, SidecarListView } from '../src/rest/schemas/sidecar.ts'
import type { SidecarEntry } from '../src/rest/ports.ts'
import { createTestDatabase, type TestDatabase } from './support/database.ts'
import { eventually } from './support/eventually.ts'
import { context } from './support/specs.ts'
import { startRest, type TestRest } from './support/rest.ts'

const entry: SidecarEntry = {
  node: 'payments/payments-1',
  replica: 'replica-1',
  seenAt: '2026-01-01T00:00:00.000Z',
  endedAt: null,
  lost: false,
  rivals: [],
  status: {
    node: 'payments/payments-1',
    agent: 'envoy/1.40.0',
    stream: 1,
    connectedAt: Date.parse('2026-01-01T00:00:00Z'),
    address: '10.0.0.9:4711',
    heardAt: Date.parse('2026-01-01T00:00:02Z'),
    rivals: [],
    syncedRevision: 3,
    answeredRevision: 4,
    inSync: false,
    types: [
      {
        typeUrl: 'type.googleapis.com/envoy.config.cluster.v3.Cluster',
        wildcard: true,
        subscribed: 0,
        sent: 4,
        acked: 3,
        waiting: 1,
        unansweredSince: Date.parse('2026-01-01T00:00:01Z'),
      },
    ],
    nacks: [
      {
        typeUrl: 'type.googleapis.com/envoy.config.cluster.v3.Cluster',
        names: ['orders'],
        version: 'abc',
        revision: 4,
        message: 'no such thing',
        at: Date.parse('2026-01-01T00:00:02Z'),
      },
    ],
  },
}

let test: TestDatabase
/** Two replicas on one Postgres. */
let one: TestRest
let two: TestRest

beforeAll(async () => {
  test = await createTestDatabase()
  one = await startRest(test, { sidecarEntries: [entry], metrics: () => Promise.resolve('waymark_up 1\n') })
  two = await startRest(test)
})

afterAll(async () => {
  await one.stop()
  await two.stop()
  await test.destroy()
})

const register = async (rest: TestRest, service: string, id: string, port = 80) =>
  rest.ok('PUT', `/services/${service}/instances/${id}`, { body: { address: '10.0.0.1', port } })

describe('read your writes', () => {
  it('on another replica, by the revision that the write answered', async () => {
    for (let n = 0; n < 20; n += 1) {
      const { revision } = await register(one, 'payments', `a-${n}`)
      const seen = await two.call('GET', `/services/payments/instances/a-${n}?minRevision=${revision}`)
      expect(seen.status).toBe(200)
      expect(seen.revision).toBeGreaterThanOrEqual(revision)
    }
  })
})

describe('a blocking read', () => {
  const read = (query: string) => two.ok<InstanceListView>('GET', `/services/ledger/instances?${query}`)

  it('returns at once when the answer has changed since, and else when it does', async () => {
    const { revision: first } = await register(one, 'ledger', 'a')
    const { revision: second } = await register(one, 'ledger', 'b')
    const early = await read(`minRevision=${second}&index=${first}&wait=30s`)
    expect(early.body.instances.map(({ id }) => id)).toEqual(['a', 'b'])

    const settled = vi.fn()
    const blocked = read(`index=${early.revision}&wait=30s`).finally(settled)
    const { revision: unrelated } = await register(one, 'other', 'a')
    await two.ok('GET', `/services?minRevision=${unrelated}`)
    expect(settled).not.toHaveBeenCalled()
    const { revision: third } = await register(one, 'ledger', 'a', 81)
    const late = await blocked
    expect(late.revision).toBeGreaterThanOrEqual(third)
    expect(late.body.instances.map(({ port }) => port)).toEqual([81, 80])
  })

  it('notices that an instance has gone', async () => {
    const { revision } = await register(one, 'ledger', 'c')
    const { revision: index } = await read(`minRevision=${revision}`)
    const gone = await one.call('DELETE', '/services/ledger/instances/c')
    const after = await read(`minRevision=${gone.revision}&index=${index}&wait=30s`)
    expect(after.body.instances.map(({ id }) => id)).not.toContain('c')
  })

  it('answers as it was when its time is over', async () => {
    const now = await read('wait=0s')
    const later = await read(`index=${now.revision}&wait=10ms`)
    expect([later.status, later.body.instances]).toEqual([200, now.body.instances])
  })

  it('waits on documents as well', async () => {
    const { revision } = await one.ok('GET', '/documents')
    const blocked = one.call('GET', `/documents/Service/blocked?index=${revision}&wait=30s`)
    await one.ok('PUT', '/documents/Service/blocked', { body: { spec: {} } })
    expect((await blocked).status).toBe(200)
  })
})

describe('the log', () => {
  it('comes page by page, whole revisions at a time', async () => {
    const found: number[] = []
    let after = 0
    for (;;) {
      const { body } = await two.ok<ChangePageView>('GET', `/changes?after=${after}&limit=7`)
      found.push(...body.sets.map(({ revision }) => revision))
      expect(body.sets.length).toBeLessThanOrEqual(7)
      if (body.sets.length === 0) {
        expect(body.next).toBe(body.head)
        break
      }
      after = body.next
    }
    expect(found).toEqual(Array.from({ length: found.length }, (_, n) => n + 1))
    expect(found.length).toBeGreaterThan(20)
  })

  it('has documents in it, before and after', async () => {
    const ref = { kind: 'Service', name: 'logged', ifMatch: null }
    await one.replica.registry.applyDocument({ ...ref, spec: { protocol: 'http' } }, context)
    const { revision } = await one.replica.registry.deleteDocument(ref, context)
    const { body } = await one.ok<ChangePageView>('GET', `/changes?after=${revision - 1}`)
    expect(body.sets[0]?.changes).toEqual([
      expect.objectContaining({
        type: 'document.deleted',
        aggregateId: 'Service/logged',
        before: { kind: 'Service', name: 'logged', spec: { protocol: 'http' }, revision: revision - 1 },
        after: null,
      }),
    ])
  })
})

describe('what else there is to read', () => {
  it('tells what each sidecar has, by its node id in either spelling', async () => {
    const { body: list } = await one.ok<SidecarListView>('GET', '/sidecars')
    expect(list.sidecars).toEqual([
      expect.objectContaining({
        node: 'payments/payments-1',
        state: 'rejected',
        since: '2026-01-01T00:00:02.000Z',
        address: '10.0.0.9:4711',
        duplicate: false,
        inSync: false,
        nacks: [expect.objectContaining({ message: 'no such thing', at: '2026-01-01T00:00:02.000Z' })],
      }),
    ])
    for (const path of ['/sidecars/payments/payments-1', '/sidecars/payments%2Fpayments-1']) {
      const { body } = await one.ok<SidecarDetailView>('GET', path)
      expect(body).toMatchObject({ node: 'payments/payments-1', syncedRevision: 3, resources: [] })
      expect(body.types[0]?.unansweredSince).toBe('2026-01-01T00:00:01.000Z')
    }
  })

  it('has probes and metrics, the latter only where they are made', async () => {
    expect((await one.call('GET', '//healthz')).body).toEqual({ status: 'ok' })
    expect((await one.call('GET', '//readyz')).body).toEqual({ status: 'ok' })
    const metrics = await one.app.inject('/metrics')
    expect([metrics.statusCode, metrics.body]).toEqual([200, 'waymark_up 1\n'])
    expect((await two.app.inject('/metrics')).statusCode).toBe(404)
  })

  it('describes itself, and shows the description without asking anybody else', async () => {
    const description = await one.app.inject('/openapi.json')
    expect(description.json()).toMatchObject({ openapi: '3.1.0', info: { title: 'Waymark' } })
    const page = await one.app.inject('/docs/')
    expect(page.statusCode).toBe(200)
    const sources = [...page.body.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, source = '']) => source)
    expect(sources.length).toBeGreaterThan(3)
    for (const source of sources) {
      expect(source).toMatch(/^\.\//)
      expect((await one.app.inject(`/docs/${source}`)).statusCode).toBe(200)
    }
    expect(page.headers['content-security-policy']).toContain("default-src 'self'")
  })

  it('keeps browsers from guessing and caching', async () => {
    const { headers } = await one.call('GET', '/services')
    expect(headers).toMatchObject({
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      'x-frame-options': 'DENY',
    })
    expect(headers['access-control-allow-origin']).toBeUndefined()
  })
})

describe('many writers on both replicas', () => {
  it('get each their revision, and both replicas the same state', async () => {
    const before = one.replica.mesh.revision
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, n) =>
        // On a machine that is too busy to connect to Postgres in time a write is refused, and may be tried again.
        eventually(
          async () => {
            const answer = await register(n % 2 === 0 ? one : two, `crowd-${n % 7}`, `i-${n}`)
            expect(answer.status).toBeLessThan(300)
            return answer
          },
          { intervalMs: 500 },
        ),
      ),
    )
    const revisions = answers.map(({ revision }) => revision).sort((a, b) => a - b)
    expect(new Set(revisions).size).toBe(100)
    expect(revisions[0]).toBeGreaterThan(before)
    expect((revisions[99] ?? 0) - (revisions[0] ?? 0)).toBe(99)
    const url = `/services?minRevision=${revisions[99] ?? 0}`
    const [first, second] = await Promise.all([one.call('GET', url), two.call('GET', url)])
    expect(first.body).toEqual(second.body)
  })
})
