import { promisify } from 'node:util'
import { gunzip, zstdDecompress, brotliDecompress } from 'node:zlib'
import fc from 'fast-check'
import { sql } from 'kysely'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { ChangePageView } from '../src/rest/schemas/change.ts'
import type { InstanceListView, ServiceListView } from '../src/rest/schemas/instance.ts'
import type { ProblemView } from '../src/rest/schemas/problem.ts'
import type { RestLimits } from '../src/rest/limits.ts'
import { createTestDatabase, type TestDatabase } from './support/database.ts'
import { startRest, type TestRest } from './support/rest.ts'

let test: TestDatabase
let rest: TestRest

const start = async (limits: Partial<RestLimits> = {}): Promise<void> => {
  rest = await startRest(test, { limits })
}

beforeEach(async () => {
  test = await createTestDatabase()
})

afterEach(async () => {
  await rest.stop()
  await test.destroy()
})

const register = (service: string, id: string, port = 80, version = 'v1') =>
  rest.ok('PUT', `/services/${service}/instances/${id}`, {
    body: { address: '10.0.0.1', port, version, lease: null },
  })
const problem = async (path: string) => {
  const { status, body } = await rest.call<ProblemView>('GET', path)
  return { status, code: body.code, oldest: body.oldest, detail: body.detail }
}

type Step = readonly [method: string, path: string, body?: object]
const service = fc.constantFrom('a', 'b')
const id = fc.constantFrom('x', 'y', 'z')
const instance = fc.tuple(service, id).map(([name, one]) => `/services/${name}/instances/${one}`)
const step: fc.Arbitrary<Step> = fc.oneof(
  fc
    .record({ path: instance, port: fc.integer({ min: 1, max: 3 }) })
    .map(({ path, port }): Step => ['PUT', path, { address: '10.0.0.1', port }]),
  instance.map((path): Step => ['DELETE', path]),
  instance.map((path): Step => ['PUT', `${path}/override`, { status: 'maintenance' }]),
  service.map((name): Step => ['PUT', `/documents/Service/${name}`, { spec: { protocol: 'grpc' } }]),
  fc
    .tuple(service, fc.integer({ min: 1, max: 3 }))
    .map(([destination, seconds]): Step => [
      'PUT',
      `/documents/TrafficPolicy/p-${destination}`,
      { spec: { destination, timeouts: { request: `${seconds}s` } } },
    ]),
  service.map((name): Step => ['DELETE', `/documents/Service/${name}`]),
)

const questions = [
  '/services',
  '/services/a',
  '/services/b/instances',
  '/services/a/instances?health=unknown&fields=id,port,verdict',
  '/services/a/instances/x',
  '/documents',
  '/documents?kind=Service',
  '/documents/Service/a',
  '/documents/effective?destination=a',
]

/** Equal registrations raise the incarnation without a change in the log; times of evidence are asked for live. */
const told = (answer: unknown): unknown =>
  JSON.parse(
    JSON.stringify(answer, (key, value: unknown) =>
      ['incarnation', 'freshness', 'observedAt'].includes(key) ? undefined : value,
    ),
  )

const ask = async (path: string) => {
  const { status, revision, body } = await rest.call('GET', path)
  return { status, revision, body: status === 200 ? told(body) : undefined }
}

describe('the past', () => {
  it('is what was seen then, for every question at every revision', async () => {
    await start()
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 12 }), async steps => {
        const seen = new Map<string, Awaited<ReturnType<typeof ask>>>()
        for (const [method, path, body] of steps) {
          const { status, revision } = await rest.call(method, path, body === undefined ? {} : { body })
          // What is there is written; 404: it was not there.
          expect([200, 201, 204, 404]).toContain(status)
          await Promise.all(
            questions.map(async question => {
              const [subject, query] = question.split('?')
              const at = `${subject ?? ''}?at=${revision}${query === undefined ? '' : `&${query}`}`
              seen.set(at, await ask(question))
            }),
          )
        }
        const all = [...seen]
        // Some at a time: a replica lets 64 reads of the past wait.
        while (all.length > 0)
          await Promise.all(
            all.splice(0, 40).map(async ([question, answer]) => {
              expect([question, await ask(question)]).toEqual([question, answer])
            }),
          )
      }),
      { numRuns: 4, endOnFailure: true },
    )
  }, 60_000)

  it('is found by the time of a change as it is shown', async () => {
    await start()
    for (const port of [1, 2, 3, 4, 5]) await register('a', 'x', port)
    const { body } = await rest.ok<ChangePageView>('GET', '/changes?after=0')
    const times = body.sets.map(({ changes }) => changes[0]?.occurredAt ?? '')
    for (const [index, time] of times.entries()) {
      // Of several revisions within a millisecond the last one counts.
      const last = times.lastIndexOf(time)
      const { revision } = await rest.ok('GET', `/services/a/instances?at=${time}`)
      expect([index, revision]).toEqual([index, last + 1])
    }
    const before = new Date(Date.parse(times[0] ?? '') - 1_000).toISOString()
    const { revision, body: empty } = await rest.ok<ServiceListView>('GET', `/services?at=${before}`)
    expect([revision, empty.services]).toEqual([0, []])
  })

  it('cannot be read before it has come, or in words that mean nothing', async () => {
    await start()
    const { revision } = await register('a', 'x')
    for (const at of [`${revision + 1}`, '2999-01-01T00:00:00Z', '2026-13-01T00:00:00Z', 'yesterday']) {
      expect([at, (await problem(`/services?at=${at}`)).code]).toEqual([at, 'invalid_request'])
    }
    expect((await problem(`/services?at=${revision}&index=0`)).code).toBe('invalid_request')
  })

  it('ends where retention has removed the log, and says where', async () => {
    await start()
    for (const port of [1, 2, 3, 4, 5]) await register('a', 'x', port)
    await sql`delete from change where revision <= 3`.execute(test.database)
    const oldest = await rest.call<InstanceListView>('GET', '/services/a/instances?at=3')
    expect(oldest.body.instances.map(({ port }) => port)).toEqual([3])
    expect(await problem('/services/a/instances?at=2')).toMatchObject({
      status: 410,
      code: 'compacted',
      oldest: 3,
    })
    expect(await problem('/services?at=2020-01-01T00:00:00Z')).toMatchObject({ code: 'compacted', oldest: 3 })
    expect(await problem('/changes?after=1')).toMatchObject({ code: 'compacted', oldest: 4 })
  })

  it('is bounded in what has changed since', async () => {
    await start({ pastAggregates: 2 })
    for (const one of ['x', 'y', 'z']) await register('a', one)
    await register('b', 'x')
    expect((await problem('/services?at=0')).code).toBe('past_too_far')
    expect((await ask('/services?at=2')).status).toBe(200)
    expect((await rest.call('GET', '/services/b?at=3')).status).toBe(404)
  })
})

describe('a list in pages', () => {
  const pages = async (
    path: string,
    between: (page: number) => Promise<unknown>,
  ): Promise<InstanceListView[]> => {
    const found: InstanceListView[] = []
    let token: string | null = ''
    while (token !== null) {
      const more: string = token === '' ? '&limit=2' : `&limit=3&continue=${token}`
      const { status, body }: { status: number; body: InstanceListView } = await rest.call<InstanceListView>(
        'GET',
        `${path}${more}`,
      )
      expect(status).toBe(200)
      found.push(body)
      token = body.continue
      await between(found.length)
    }
    return found
  }

  it('is one list of one revision, whatever changes meanwhile', async () => {
    await start()
    for (const n of [1, 2, 3, 4, 5, 6, 7]) await register('a', `i-${n}`, n)
    const whole = await rest.call<InstanceListView>('GET', '/services/a/instances?version=v1')
    const found = await pages('/services/a/instances?version=v1', async page => {
      await rest.ok('DELETE', `/services/a/instances/i-${8 - page}`)
      await register('a', `i-0${page}`)
      await register('a', `i-${9 - page}`, 99, 'v2')
    })
    expect(found.map(({ instances }) => instances.length)).toEqual([2, 3, 2])
    expect(new Set(found.map(({ revision }) => revision))).toEqual(new Set([whole.body.revision]))
    expect(found.flatMap(({ instances }) => instances)).toEqual(whole.body.instances)
  })

  it('says so when the rest of it is no longer in the log', async () => {
    await start()
    for (const one of ['x', 'y', 'z']) await register('a', one)
    const { body } = await rest.ok<InstanceListView>('GET', '/services/a/instances?limit=1')
    const path = `/services/a/instances?limit=1&continue=${body.continue ?? ''}`
    await register('a', 'y', 81)
    await register('a', 'y', 82)
    await sql`delete from change where revision <= 4`.execute(test.database)
    expect(await problem(path)).toMatchObject({ status: 410, code: 'compacted', oldest: 4 })
  })

  it('says so when the log ends before it: the database was restored', async () => {
    await start()
    for (const one of ['x', 'y']) await register('a', one)
    const { body } = await rest.ok<InstanceListView>('GET', '/services/a/instances?limit=1')
    const [revision, ...place] = JSON.parse(Buffer.from(body.continue ?? '', 'base64url').toString()) as [
      number,
    ]
    const token = Buffer.from(JSON.stringify([revision + 1_000, ...place])).toString('base64url')
    const path = `/services/a/instances?limit=1&continue=${token}`
    expect(await problem(path)).toMatchObject({ status: 410, code: 'compacted', oldest: revision })
  })

  it('takes only tokens of the same question', async () => {
    await start()
    for (const one of ['x', 'y', 'z']) await register('a', one)
    const { body } = await rest.ok<InstanceListView>('GET', '/services/a/instances?limit=1')
    const token = body.continue ?? ''
    for (const path of [
      `/services/a/instances?limit=1&health=healthy&continue=${token}`,
      `/services?limit=1&continue=${token}`,
      '/services/a/instances?limit=1&continue=WzFd',
      '/services/a/instances?limit=0',
      '/services/a/instances?fields=id,nonsense',
    ]) {
      expect([path, (await problem(path)).code]).toEqual([path, 'invalid_request'])
    }
  })
})

describe('a blocking read', () => {
  it('sleeps through changes that leave its answer as it was', async () => {
    await start()
    await register('a', 'x')
    const { revision: index } = await register('a', 'y')
    const woken = vi.fn()
    const path = `/services/a/instances?fields=id&index=${index}&wait=30s`
    const blocked = rest.call<InstanceListView>('GET', path).finally(woken)
    const summary = rest.call('GET', `/services?index=${index}&wait=30s`).finally(woken)
    const { revision: unseen } = await register('a', 'y', 81)
    await rest.ok('GET', `/services?minRevision=${unseen}`)
    expect(woken).not.toHaveBeenCalled()
    const { revision } = await register('a', 'z')
    expect((await blocked).revision).toBeGreaterThanOrEqual(revision)
    expect((await summary).revision).toBeGreaterThanOrEqual(revision)
  })

  it('waits for what is not there yet', async () => {
    await start()
    const blocked = rest.call('GET', '/services/later/instances?index=0&wait=30s')
    await register('other', 'x')
    await register('later', 'x')
    expect((await blocked).status).toBe(200)
  })

  it('says so when its index is not in the log any more: the database was restored', async () => {
    await start()
    const { revision } = await register('a', 'x')
    expect(await problem(`/services?index=${revision + 10}&wait=1s`)).toMatchObject({
      code: 'compacted',
      oldest: revision,
    })
  })
})

describe('an answer', () => {
  it('is not sent again to whom has it', async () => {
    await start()
    await register('a', 'x')
    const first = await rest.call('GET', '/services/a/instances')
    const etag = String(first.headers['etag'])
    await register('b', 'x')
    const same = await rest.app.inject({
      url: '/api/v1/services/a/instances',
      headers: { 'if-none-match': etag },
    })
    expect([same.statusCode, same.body]).toEqual([304, ''])
    await register('a', 'y')
    const other = await rest.app.inject({
      url: '/api/v1/services/a/instances',
      headers: { 'if-none-match': etag },
    })
    expect(other.statusCode).toBe(200)
  })

  it('is not taken for what another log has at its revision', async () => {
    await start()
    const before = await register('a', 'x', 80)
    const { headers } = await rest.call('GET', '/services/a/instances')
    // As after a failover to a standby that had not got it.
    await rest.stop()
    await test.destroy()
    test = await createTestDatabase()
    await start()
    expect((await register('a', 'x', 81)).revision).toBe(before.revision)
    const after = await rest.app.inject({
      url: '/api/v1/services/a/instances',
      headers: { 'if-none-match': String(headers['etag']) },
    })
    expect(after.statusCode).toBe(200)
  })

  it('is compressed as the client asks, unless it is short', async () => {
    await start()
    for (let n = 0; n < 20; n += 1) await register('a', `i-${n}`)
    const get = (url: string, encoding: string) =>
      rest.app.inject({ url: `/api/v1${url}`, headers: { 'accept-encoding': encoding } })
    const plain = await get('/services/a/instances', 'identity')
    const encodings = { gzip: gunzip, br: brotliDecompress, zstd: zstdDecompress }
    for (const [encoding, decompress] of Object.entries(encodings)) {
      const { headers, rawPayload } = await get('/services/a/instances', encoding)
      expect([headers['content-encoding'], headers.vary]).toEqual([encoding, 'accept-encoding'])
      expect(rawPayload.length).toBeLessThan(plain.rawPayload.length / 3)
      expect((await promisify(decompress)(rawPayload)).toString()).toBe(plain.body)
      expect((await get('/services/a/instances', encoding)).rawPayload).toEqual(rawPayload)
      // Chosen, and compressed, by other means.
      const weighted = await get('/services/a/instances', `${encoding};q=0.5`)
      expect(weighted.headers).toMatchObject({ 'content-encoding': encoding, vary: 'accept-encoding' })
      expect({ ...headers, date: '', 'content-length': '' }).toEqual({
        ...weighted.headers,
        date: '',
        'content-length': '',
      })
    }
    expect((await get('/services/a', 'gzip')).headers['content-encoding']).toBeUndefined()
  })
})
